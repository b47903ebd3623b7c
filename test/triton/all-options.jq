# SPDX-License-Identifier: MPL-2.0
# What each option of the Docker API has become in the body of the request.
.Image == "busybox:test" and .Entrypoint == ["sleep"] and .Cmd == ["600"] and .OpenStdin and .StdinOnce and
(.Tty | not) and .WorkingDir == "/tmp" and .Hostname == "h" and .Domainname == "d" and .User == "0" and
.Labels.colour == "red" and .Labels["triton.network.public"] == "external" and
.Labels["triton.cns.services"] == "web" and (.Labels | has("com.joyent.package")) and
.HostConfig.NetworkMode == "fab" and .HostConfig.Dns == ["1.1.1.1"] and .HostConfig.DnsSearch == ["x.y"] and
.HostConfig.ExtraHosts == ["db:10.0.0.5"] and
.HostConfig.PortBindings["443/tcp"] == [{HostIp: "0.0.0.0", HostPort: "443"}] and
(.HostConfig.PortBindings | has("53/udp")) and .HostConfig.PublishAllPorts and
.HostConfig.LogConfig == {Type: "json-file", Config: {a: "b"}} and
.HostConfig.RestartPolicy == {Name: "on-failure", MaximumRetryCount: 3} and
(.Env | index("affinity:container!=x")) and (.Env | index("affinity:role==web")) and
([.Env[] | select(startswith("NOMAD_TASK_NAME="))] | length == 1)
