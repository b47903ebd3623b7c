/* SPDX-License-Identifier: MPL-2.0 */
/* The table of providers: detection, requests, mapping.  The first that matches counts, so a drive, which somebody made
 * for this machine, comes before a service of the network.
 *
 * Sources: the providers' own pages on metadata; detection by cloud-init's ds-identify. */
#include "cloud.h"

#include <stdio.h>
#include <string.h>

#include "util.h"

#define LINK_LOCAL "169.254.169.254"

static void map_files(const json_t *document, json_t *config)
{
	json_t *network = cloud_at(document, "network_config");

	cloud_map_network_config(network ? network : cloud_at(document, "meta.network"), config);
}

static void map_ec2(const json_t *document, json_t *config)
{
	const char *mac, *text, *end;
	char one[64];
	json_t *v;

	/* Addresses of IPv6 come by DHCPv6 there; the metadata has them as well.  The route is the router's. */
	json_object_foreach((json_t *)(uintptr_t)cloud_at(document, "ipv6s"), mac, v)
	{
		json_t *section = cloud_interface(config, mac);

		text = json_string_value(v);
		for (; section && text && *text; text = *end ? end + 1 : end) {
			end = text + strcspn(text, "\n");
			snprintf(one, sizeof(one), "%.*s", (int)(end - text), text);
			cloud_add_address(section, "addresses", one, "128");
			json_object_set_new(section, "dhcp", json_true());
		}
	}
}

/* clang-format off */
const struct cloud_provider cloud_providers[] = {
	{
		.name = "openstack-drive", .title = "an OpenStack config drive",
		.files = { "openstack/latest/meta_data.json" }, .open = cloud_open_files, .get = cloud_get_file,
		.gets = { { "openstack/latest/meta_data.json", "meta", CLOUD_JSON, true },
			  { "openstack/latest/network_data.json", "network", CLOUD_JSON, false },
			  { "openstack/latest/user_data", "user_data", CLOUD_BLOB, false } },
		.facts = { "instance_id=meta.uuid", "hostname=meta.hostname", "zone=meta.availability_zone" },
		.map = cloud_map_openstack,
	}, {
		.name = "nocloud", .title = "a NoCloud drive",
		.files = { "meta-data", "user-data" }, .open = cloud_open_files, .get = cloud_get_file,
		.gets = { { "meta-data", "meta", CLOUD_YAML, false },
			  { "network-config", "network_config", CLOUD_YAML, false },
			  { "user-data", "user_data", CLOUD_BLOB, false } },
		.facts = { "instance_id=meta.instance-id", "hostname=meta.local-hostname", "hostname=meta.hostname" },
		.map = map_files,
	}, {
		.name = "ec2", .title = "Amazon EC2",
		.dmi = { "sys_vendor=Amazon EC2", "product_uuid=ec2*", "product_uuid=????2?ec-*" },
		.addresses = { LINK_LOCAL, "fd00:ec2::254" },
		.token = { "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n",
			   "X-aws-ec2-metadata-token" },
		.gets = { { "/latest/meta-data/instance-id", "instance_id", CLOUD_TEXT, true },
			  { "/latest/meta-data/local-hostname", "hostname", CLOUD_TEXT, false },
			  { "/latest/meta-data/placement/region", "region", CLOUD_TEXT, false },
			  { "/latest/meta-data/placement/availability-zone", "zone", CLOUD_TEXT, false },
			  { "/latest/meta-data/instance-type", "type", CLOUD_TEXT, false },
			  { "/latest/meta-data/network/interfaces/macs/*/ipv6s", "ipv6s", CLOUD_BLOB, false },
			  { "/latest/user-data", "user_data", CLOUD_BLOB, false } },
		.map = map_ec2,
		.ntp = { "169.254.169.123" },
	}, {
		.name = "gce", .title = "Google Compute Engine",
		.dmi = { "product_name=Google Compute Engine", "product_name=Google", "product_serial=GoogleCloud-*" },
		.addresses = { LINK_LOCAL },
		.header = "Metadata-Flavor: Google\r\n", .answer = "Metadata-Flavor", .value = "Google",
		.gets = { { "/computeMetadata/v1/instance/id", "instance_id", CLOUD_TEXT, true },
			  { "/computeMetadata/v1/instance/hostname", "hostname", CLOUD_TEXT, false },
			  { "/computeMetadata/v1/instance/zone", "zone", CLOUD_TEXT, false },
			  { "/computeMetadata/v1/instance/machine-type", "type", CLOUD_TEXT, false },
			  { "/computeMetadata/v1/instance/network-interfaces/?recursive=true&alt=json", "nics",
			    CLOUD_JSON, false },
			  { "/computeMetadata/v1/instance/attributes/user-data", "user_data", CLOUD_BLOB, false } },
		.nics = { { "nics", "mac", "mtu", NULL, NULL, NULL, "ipv6", NULL, "gatewayIpv6", false } },
		.ntp = { LINK_LOCAL },
	}, {
		.name = "azure", .title = "Microsoft Azure",
		.dmi = { "chassis_asset_tag=7783-7084-3265-9085-8269-3286-77" },
		.addresses = { LINK_LOCAL },
		.header = "Metadata: true\r\n", .missing_is_early = true,
		.gets = { { "/metadata/instance?api-version=2021-02-01&format=json", "meta", CLOUD_JSON, true } },
		.facts = { "instance_id=meta.compute.vmId", "hostname=meta.compute.osProfile.computerName",
			   "hostname=meta.compute.name", "region=meta.compute.location", "zone=meta.compute.zone",
			   "type=meta.compute.vmSize" },
		.user_data = "meta.compute.userData",
		.nics = { { "meta.network.interface", "macAddress", NULL, NULL, NULL, NULL,
			    "ipv6.ipAddress.*.privateIpAddress", NULL, NULL, false } },
		.report = azure_report,
	}, {
		.name = "digitalocean", .title = "DigitalOcean",
		.dmi = { "sys_vendor=DigitalOcean" },
		.addresses = { LINK_LOCAL },
		.gets = { { "/metadata/v1.json", "meta", CLOUD_JSON, true } },
		.facts = { "instance_id=meta.droplet_id", "hostname=meta.hostname", "region=meta.region",
			   "dns=meta.dns.nameservers" },
		.user_data = "meta.user_data",
		.nics = { { "meta.interfaces.public", "mac", NULL, "ipv4.ip_address", "ipv4.netmask", "ipv4.gateway",
			    "ipv6.ip_address", "ipv6.cidr", "ipv6.gateway", true },
			  { "meta.interfaces.private", "mac", NULL, "ipv4.ip_address", "ipv4.netmask", NULL,
			    "ipv6.ip_address", "ipv6.cidr", NULL, true } },
	}, {
		.name = "hetzner", .title = "Hetzner Cloud",
		.dmi = { "sys_vendor=Hetzner" },
		.addresses = { LINK_LOCAL },
		.gets = { { "/hetzner/v1/metadata/instance-id", "instance_id", CLOUD_TEXT, true },
			  { "/hetzner/v1/metadata/hostname", "hostname", CLOUD_TEXT, false },
			  { "/hetzner/v1/metadata/region", "region", CLOUD_TEXT, false },
			  { "/hetzner/v1/metadata/availability-zone", "zone", CLOUD_TEXT, false },
			  { "/hetzner/v1/metadata/network-config", "network_config", CLOUD_YAML, false },
			  { "/hetzner/v1/userdata", "user_data", CLOUD_BLOB, false } },
		.map = map_files,
	}, {
		.name = "oracle", .title = "Oracle Cloud Infrastructure",
		.dmi = { "chassis_asset_tag=OracleCloud.com" },
		.addresses = { LINK_LOCAL, "fd00:c1::a9fe:a9fe" },
		.header = "Authorization: Bearer Oracle\r\n",
		.gets = { { "/opc/v2/instance/", "meta", CLOUD_JSON, true },
			  { "/opc/v2/vnics/", "vnics", CLOUD_JSON, false } },
		.facts = { "instance_id=meta.id", "hostname=meta.hostname", "region=meta.canonicalRegionName",
			   "zone=meta.availabilityDomain", "type=meta.shape" },
		.user_data = "meta.metadata.user_data",
		.nics = { { "vnics", "macAddr", NULL, "privateIp", "subnetCidrBlock", "virtualRouterIp",
			    "ipv6Addresses",
			    NULL, "ipv6VirtualRouterIp", false } },
		.ntp = { LINK_LOCAL },
	}, {
		.name = "vultr", .title = "Vultr",
		.dmi = { "sys_vendor=Vultr" },
		.addresses = { LINK_LOCAL },
		.gets = { { "/v1.json", "meta", CLOUD_JSON, true },
			  { "/latest/user-data", "user_data", CLOUD_BLOB, false } },
		.facts = { "instance_id=meta.instance-v2-id", "hostname=meta.hostname",
			   "region=meta.region.regioncode" },
		.nics = { { "meta.interfaces", "mac", NULL, NULL, NULL, NULL, "ipv6.address", "ipv6.prefix", NULL,
			    false } },
	}, {
		.name = "exoscale", .title = "Exoscale",
		.dmi = { "product_name=Exoscale*" },
		.addresses = { LINK_LOCAL },
		.gets = { { "/1.0/meta-data/instance-id", "instance_id", CLOUD_TEXT, true },
			  { "/1.0/meta-data/local-hostname", "hostname", CLOUD_TEXT, false },
			  { "/1.0/meta-data/availability-zone", "zone", CLOUD_TEXT, false },
			  { "/1.0/meta-data/service-offering", "type", CLOUD_TEXT, false },
			  { "/1.0/user-data", "user_data", CLOUD_BLOB, false } },
	}, {
		.name = "openstack", .title = "OpenStack",
		.dmi = { "product_name=OpenStack *", "chassis_asset_tag=OpenStack *",
			 "chassis_asset_tag=OpenTelekomCloud",
			 "chassis_asset_tag=SAP CCloud VM", "chassis_asset_tag=HUAWEICLOUD",
			 "chassis_asset_tag=Samsung Cloud Platform" },
		.addresses = { LINK_LOCAL },
		.gets = { { "/openstack/latest/meta_data.json", "meta", CLOUD_JSON, true },
			  { "/openstack/latest/network_data.json", "network", CLOUD_JSON, false },
			  { "/openstack/latest/user_data", "user_data", CLOUD_BLOB, false } },
		.facts = { "instance_id=meta.uuid", "hostname=meta.hostname", "zone=meta.availability_zone" },
		.map = cloud_map_openstack,
	}, {
		.name = "triton", .title = "Triton (mdata)",
		.dmi = { "product_name=SmartDC*" },
		.open = mdata_open, .get = mdata_get,
		.gets = { { "sdc:uuid", "instance_id", CLOUD_TEXT, true },
			  { "sdc:hostname", "hostname", CLOUD_TEXT, false },
			  { "sdc:datacenter_name", "region", CLOUD_TEXT, false },
			  { "sdc:resolvers", "dns", CLOUD_JSON, false },
			  { "sdc:nics", "nics", CLOUD_JSON, false },
			  { "sdc:routes", "routes", CLOUD_JSON, false },
			  { "user-data", "user_data", CLOUD_BLOB, false } },
		.nics = { { "nics", "mac", "mtu", "ips", NULL, "gateways", NULL, NULL, NULL, true },
			  { "nics", "mac", "mtu", "ip", "netmask", "gateway", NULL, NULL, NULL, true } },
		.map = cloud_map_triton,
	}, {
		.name = "vmware", .title = "VMware guestinfo",
		.hypervisor = "VMwareVMware", .get = guestinfo_get,
		.gets = { { "guestinfo.metadata", "meta", CLOUD_YAML, false },
			  { "guestinfo.userdata", "user_data", CLOUD_BLOB, false } },
		.facts = { "instance_id=meta.instance-id", "hostname=meta.local-hostname", "hostname=meta.hostname" },
		.map = map_files,
	},
};
/* clang-format on */
const size_t cloud_n_providers = NOMAD_ARRAY_LEN(cloud_providers);
