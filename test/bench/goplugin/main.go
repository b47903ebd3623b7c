// SPDX-License-Identifier: MPL-2.0

// The smallest task driver that go-plugin allows: the calls that the
// benchmark makes, answered with constant bytes, and an ExecTask that runs
// /bin/true.  A real driver in Go also holds Nomad's own packages, HCL and
// generated messages.
package main

import (
	"context"
	"errors"
	"io"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

type raw struct{ data []byte }

// codec lets raw bytes pass, and go-plugin's own messages as usual.
type codec struct{ next encoding.CodecV2 }

func (c codec) Marshal(v any) ([]byte, error) {
	if r, is := v.(*raw); is {
		return r.data, nil
	}
	b, err := c.next.Marshal(v)
	if err != nil {
		return nil, err
	}
	defer b.Free()
	return b.Materialize(), nil
}

func (c codec) Unmarshal(data []byte, v any) error {
	if r, is := v.(*raw); is {
		r.data = append([]byte(nil), data...)
		return nil
	}
	return c.next.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, v)
}

func (codec) Name() string { return "proto" }

func str(n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s)
}
func num(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}
func msg(n protowire.Number, parts ...[]byte) []byte { return str(n, string(join(parts...))) }
func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return
}

var (
	timestamp = join(num(1, 1700000000), num(2, 1))
	answers   = map[string][]byte{
		"PluginInfo":       join(num(1, 2), str(2, "v0.1.0"), str(3, "0.1.0"), str(4, "bench")),
		"ConfigSchema":     msg(1, msg(1)),
		"TaskConfigSchema": msg(1, msg(1)),
		"Capabilities":     msg(1, num(1, 1), num(2, 1)),
		"ExecTask":         msg(3),
		"InspectTask":      msg(1, str(1, "id"), str(2, "name"), num(3, 1), msg(4, timestamp), msg(5, timestamp), msg(6)),
	}
	fingerprint = join(msg(1, str(1, "driver.bench"), msg(2, num(4, 1))), num(2, 2), str(3, "Healthy"))
)

func unary(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in raw
		if err := dec(&in); err != nil {
			return nil, err
		}
		if name == "ExecTask" {
			if err := exec.Command("/bin/true").Run(); err != nil {
				return nil, err
			}
		}
		return &raw{answers[name]}, nil
	}}
}

func stream(name string, first []byte) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: name, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		var in raw
		if err := s.RecvMsg(&in); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if first != nil {
			if err := s.SendMsg(&raw{first}); err != nil {
				return err
			}
		}
		<-s.Context().Done()
		return nil
	}}
}

type service struct {
	plugin.NetRPCUnsupportedPlugin
	desc grpc.ServiceDesc
}

func (p service) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&p.desc, struct{}{})
	return nil
}
func (service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("not a client")
}

func main() {
	base := grpc.ServiceDesc{ServiceName: "hashicorp.nomad.plugins.base.proto.BasePlugin", HandlerType: (*any)(nil)}
	for _, m := range []string{"PluginInfo", "ConfigSchema", "SetConfig"} {
		base.Methods = append(base.Methods, unary(m))
	}
	driver := grpc.ServiceDesc{ServiceName: "hashicorp.nomad.plugins.drivers.proto.Driver", HandlerType: (*any)(nil)}
	for _, m := range []string{"Init", "Shutdown", "TaskConfigSchema", "Capabilities", "RecoverTask", "StartTask", "WaitTask",
		"StopTask", "DestroyTask", "InspectTask", "SignalTask", "ExecTask", "CreateNetwork", "DestroyNetwork"} {
		driver.Methods = append(driver.Methods, unary(m))
	}
	driver.Streams = []grpc.StreamDesc{stream("Fingerprint", fingerprint), stream("TaskEvents", nil), stream("TaskStats", nil)}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 2, MagicCookieKey: "NOMAD_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"},
		Plugins: plugin.PluginSet{"base": service{desc: base}, "driver": service{desc: driver}},
		Logger:  hclog.New(&hclog.LoggerOptions{Level: hclog.Info, JSONFormat: true}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.ForceServerCodec(codec{encoding.GetCodecV2("proto")}))...)
		},
	})
}
