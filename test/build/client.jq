# SPDX-License-Identifier: MPL-2.0
# The driver under test, for test/conformance/client_world_test.go.
{ Name: "build", Plugin: {}, Alone: true, StopCodes: [1, 143, 255], Ends: 0,
Prepare: "mkdir -p $ALLOC_DIR/alloc && cp -rl \($context) $ALLOC_DIR/alloc/",
Task: { context: "alloc/parts", args: { MARK: "mark=@ID@" }, output: [{ path: "alloc/out.tar" }] },
Variants: [{}, {}, { context: "alloc/none", fails: true }],
Payload: "^[^ ]*buildah ", Engine: "^[^ ]*buildah .*@ALLOC@" }
