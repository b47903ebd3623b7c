# SPDX-License-Identifier: MPL-2.0
# Is it whole: each id once, and no relationship with something that is not there?
.spdxVersion == "SPDX-2.3" and (.packages | length) >= 1 and
([.packages[].SPDXID] | length == (unique | length)) and
([.relationships[] | .spdxElementId, .relatedSpdxElement] - [.packages[].SPDXID, "SPDXRef-DOCUMENT"] == [])
