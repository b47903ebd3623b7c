# SPDX-License-Identifier: MPL-2.0
# Arguments that a shell would take apart.
{ image: $image, pot: "img", tag: "1.0", command: "printf",
	args: ["<%s>", "two  words", "$HOME `id` \"q\" \\", "it's", "'as is'", ""] }
