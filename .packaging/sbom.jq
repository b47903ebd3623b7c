# SPDX-License-Identifier: MPL-2.0
# The bill of materials (SPDX 2.3), of the records that sbom collects.
def none: "NOASSERTION";
def id: "SPDXRef-" + gsub("[^A-Za-z0-9.-]"; "-");
. as $files
| ([$files[].contains[]] | unique) as $static
| ([$files[].needs[].name] | unique) as $needed
| {
	spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", name: ("nomad-drivers-c-" + $v),
	documentNamespace: ("https://spdx.org/spdxdocs/nomad-drivers-c-" + $v + "-" + $files[0].sum[0:16]),
	creationInfo: { created: $created, creators: ["Tool: nomad-drivers-c-sbom"] },
	documentDescribes: [$files[] | .file | id],
	packages: (
		[$files[] | { SPDXID: (.file | id), name, versionInfo: .version, packageFileName: .file,
			downloadLocation: none, filesAnalyzed: false,
			licenseConcluded: "MPL-2.0", licenseDeclared: "MPL-2.0",
			copyrightText: none,
			checksums: [{ algorithm: "SHA256", checksumValue: .sum }] }]
		+ [$static[] | { SPDXID: ("static-" + .name + "-" + .version | id), name, versionInfo: .version,
			downloadLocation: none, filesAnalyzed: false,
			licenseConcluded: none, licenseDeclared: none, copyrightText: none,
			externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
				referenceLocator: ("pkg:deb/debian/" + .name + "@" + (.version | @uri)
					+ "?arch=source") }] }]
		+ [$needed[] | { SPDXID: ("needs-" + . | id), name: ., downloadLocation: none, filesAnalyzed: false,
			licenseConcluded: none, licenseDeclared: none, copyrightText: none }]),
	relationships: (
		[$files[] | { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES",
			relatedSpdxElement: (.file | id) }]
		+ [$files[1:][] | { spdxElementId: (.file | id), relationshipType: "GENERATED_FROM",
			relatedSpdxElement: ($files[0].file | id) }]
		+ [$files[] | . as $f | .contains[] | { spdxElementId: ($f.file | id), relationshipType: "STATIC_LINK",
			relatedSpdxElement: ("static-" + .name + "-" + .version | id) }]
		+ [$files[] | . as $f | .needs[] | { spdxElementId: ($f.file | id), relationshipType: "DEPENDS_ON",
			relatedSpdxElement: ("needs-" + .name | id) }])
}
