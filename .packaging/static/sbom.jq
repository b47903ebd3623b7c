# SPDX-License-Identifier: MPL-2.0
# SPDX 2.3 of the static files in the input ([{ name, cpu, sum }]) and the rows of $table.
def none: "NOASSERTION";
def id: "SPDXRef-" + gsub("[^A-Za-z0-9.-]"; "-");
def rows: ($table | split("\n") | map(select(length > 0 and (startswith("#") | not)) | split("\t"))) as $lines
	| $lines[0] as $head
	| $lines[1:][] | [$head, .] | transpose | map({ key: .[0], value: .[1] }) | from_entries;
# What only a driver with TLS has is in no other.
def used_by($file): .users == "all" or (.users | split(",") | index($file) != null);
def purl: if .registry == "pypi" then "pkg:pypi/" + .name + "@" + .version
	else "pkg:deb/debian/" + .name + "@" + (.version | @uri) + "?arch=source" end;
def parts: .parts | if . == "-" then [] else split(",") | map(capture("^(?<name>[^:]+):(?<licence>.*)$")) end;
. as $files
| [rows] as $rows
| {
	spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT",
	name: ("nomad-drivers-c-static-" + $version),
	documentNamespace: ("https://spdx.org/spdxdocs/nomad-drivers-c-static-" + $version + "-" + $files[0].sum[0:16]),
	creationInfo: { created: $created, creators: ["Tool: nomad-drivers-c-sbom"] },
	documentDescribes: [$files[] | .cpu + "/" + .name | id],
	packages: (
		[$files[] | { SPDXID: (.cpu + "/" + .name | id), name, versionInfo: $version,
			packageFileName: (.cpu + "/" + .name), downloadLocation: none, filesAnalyzed: false,
			licenseConcluded: "MPL-2.0", licenseDeclared: "MPL-2.0", copyrightText: none,
			checksums: [{ algorithm: "SHA256", checksumValue: .sum }] }]
		+ [$rows[] | { SPDXID: ("source-" + .file | id), name, versionInfo: .version, packageFileName: .file,
			downloadLocation: none, filesAnalyzed: false, licenseConcluded: .licence,
			licenseDeclared: .licence, copyrightText: none,
			checksums: [{ algorithm: "SHA256", checksumValue: .sha256 }],
			externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
				referenceLocator: purl }] }]
		+ [$rows[] | . as $row | parts[] | { SPDXID: ("part-" + $row.name + "-" + .name | id), name,
			downloadLocation: none, filesAnalyzed: false, licenseConcluded: .licence,
			licenseDeclared: .licence, copyrightText: none }]),
	relationships: (
		[$files[] | { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES",
			relatedSpdxElement: (.cpu + "/" + .name | id) }]
		+ [$files[] | . as $f | $rows[] | select(used_by($f.name))
			| { spdxElementId: ($f.cpu + "/" + $f.name | id), relationshipType: "STATIC_LINK",
			relatedSpdxElement: ("source-" + .file | id) }]
		+ [$rows[] | . as $row | parts[]
			| { spdxElementId: ("source-" + $row.file | id), relationshipType: "CONTAINS",
			relatedSpdxElement: ("part-" + $row.name + "-" + .name | id) }])
}
