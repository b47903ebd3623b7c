# SPDX-License-Identifier: MPL-2.0
# Is this the provenance of a build of $digest, by the Containerfile $file?
.predicate.buildDefinition as $how | .predicate.runDetails as $run |
._type == "https://in-toto.io/Statement/v1" and .predicateType == "https://slsa.dev/provenance/v1" and
.subject == [{ name: "alloc/packages.tar", digest: { sha256: $digest } }] and
($how.externalParameters | .args == { A: "1" } and .secrets == ["s"] and .timestamp == 0) and
$how.resolvedDependencies == [{ name: "Containerfile", digest: { sha256: $file } }] and
($run.builder.id | startswith("urn:nomad:node:")) and ($run.metadata | .finishedOn >= .startedOn)
