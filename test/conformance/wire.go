// SPDX-License-Identifier: MPL-2.0

// Package conformance hosts a driver as Nomad does: through go-plugin's
// client, with configuration that real HCL made of the driver's own schema.
//
// The messages come from the .proto files of libnomadplugin/wire, loaded at
// run time; the names of services and methods are spelled out here.  No code
// of Nomad is used.
package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// M is a message as JSON; bytes are []byte.
type M map[string]any

const (
	pkgBase   = "hashicorp.nomad.plugins.base.proto"
	pkgDriver = "hashicorp.nomad.plugins.drivers.proto"
	driverSvc = "/" + pkgDriver + ".Driver/"
	baseSvc   = "/" + pkgBase + ".BasePlugin/"
)

// Message types that do not follow from the method's name.
type methodTypes struct{ in, out string }

var otherMethods = map[string]methodTypes{
	"/plugin.GRPCController/Shutdown": {"plugin.Empty", "plugin.Empty"},
	"/plugin.GRPCStdio/StreamStdio":   {"plugin.Empty", "plugin.StdioData"},
	"/plugin.GRPCBroker/StartStream":  {"plugin.ConnInfo", "plugin.ConnInfo"},
	"/grpc.health.v1.Health/Check":    {"grpc.health.v1.HealthCheckRequest", "grpc.health.v1.HealthCheckResponse"},
	"/grpc.health.v1.Health/Watch":    {"grpc.health.v1.HealthCheckRequest", "grpc.health.v1.HealthCheckResponse"},
	driverSvc + "TaskEvents":          {pkgDriver + ".TaskEventsRequest", pkgDriver + ".DriverTaskEvent"},
	driverSvc + "ExecTaskStreaming":   {pkgDriver + ".ExecTaskStreamingRequest", pkgDriver + ".ExecTaskStreamingResponse"},
}

// unaryMethods and streamMethods: all that a driver serves.
var unaryMethods = []string{
	baseSvc + "PluginInfo", baseSvc + "ConfigSchema", baseSvc + "SetConfig",
	driverSvc + "Init", driverSvc + "TaskConfigSchema", driverSvc + "Capabilities", driverSvc + "RecoverTask",
	driverSvc + "StartTask", driverSvc + "WaitTask", driverSvc + "StopTask", driverSvc + "DestroyTask",
	driverSvc + "InspectTask", driverSvc + "SignalTask", driverSvc + "ExecTask",
	driverSvc + "CreateNetwork", driverSvc + "DestroyNetwork", "/grpc.health.v1.Health/Check",
}

var streamMethods = []string{
	driverSvc + "Fingerprint", driverSvc + "TaskStats", driverSvc + "TaskEvents", driverSvc + "ExecTaskStreaming",
	"/plugin.GRPCStdio/StreamStdio", "/plugin.GRPCBroker/StartStream",
}

var messages = map[string]protoreflect.MessageDescriptor{}

func loadProtos(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no .proto files in %s: %v", dir, err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	sources := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		sources[filepath.Base(p)] = string(text)
	}
	compiler := protocompile.Compiler{
		Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)},
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return err
	}
	var walk func(protoreflect.MessageDescriptors)
	walk = func(list protoreflect.MessageDescriptors) {
		for i := 0; i < list.Len(); i++ {
			messages[string(list.Get(i).FullName())] = list.Get(i)
			walk(list.Get(i).Messages())
		}
	}
	for _, f := range files {
		walk(f.Messages())
	}
	return nil
}

func newMessage(name string) *dynamicpb.Message {
	d := messages[name]
	if d == nil {
		panic("no message " + name)
	}
	return dynamicpb.NewMessage(d)
}

func messageOf(name string, content M) *dynamicpb.Message {
	m := newMessage(name)
	text, err := json.Marshal(content)
	if err == nil {
		err = protojson.Unmarshal(text, m)
	}
	if err != nil {
		panic(fmt.Sprintf("%s: %v: %s", name, err, text))
	}
	return m
}

func typesOf(method string) methodTypes {
	if t, ok := otherMethods[method]; ok {
		return t
	}
	pkg, name := pkgDriver, strings.TrimPrefix(method, driverSvc)
	if strings.HasPrefix(method, baseSvc) {
		pkg, name = pkgBase, strings.TrimPrefix(method, baseSvc)
	}
	return methodTypes{pkg + "." + name + "Request", pkg + "." + name + "Response"}
}

// R is a response, read by path: r.str("task.result.exit_code").
type R struct{ m protoreflect.Message }

// at finds a field by path; ok says whether it is set.
func (r R) at(path string) (v protoreflect.Value, fd protoreflect.FieldDescriptor, ok bool) {
	m := r.m
	parts := strings.Split(path, ".")
	for i, p := range parts {
		fd = m.Descriptor().Fields().ByName(protoreflect.Name(p))
		if fd == nil {
			panic(fmt.Sprintf("%s has no field %s", m.Descriptor().FullName(), p))
		}
		if i == len(parts)-1 {
			return m.Get(fd), fd, m.Has(fd)
		}
		if !m.Has(fd) {
			return v, nil, false
		}
		m = m.Get(fd).Message()
	}
	panic("unreachable")
}

func (r R) has(path string) bool { _, _, ok := r.at(path); return ok }
func (r R) str(path string) string {
	v, fd, _ := r.at(path)
	if fd == nil {
		return ""
	}
	if fd.Kind() == protoreflect.EnumKind && fd.Cardinality() != protoreflect.Repeated {
		return string(fd.Enum().Values().ByNumber(v.Enum()).Name())
	}
	return v.String()
}
func (r R) num(path string) int64 {
	v, fd, _ := r.at(path)
	if fd == nil {
		return 0
	}
	switch x := v.Interface().(type) {
	case int32:
		return int64(x)
	case int64:
		return x
	case uint32:
		return int64(x)
	case uint64:
		return int64(x)
	}
	panic(path + " is no integer")
}
func (r R) float(path string) float64 {
	v, fd, _ := r.at(path)
	if fd == nil {
		return 0
	}
	return v.Float()
}
func (r R) boolean(path string) bool {
	v, fd, _ := r.at(path)
	return fd != nil && v.Bool()
}
func (r R) bytes(path string) []byte {
	v, fd, _ := r.at(path)
	if fd == nil {
		return nil
	}
	return v.Bytes()
}
func (r R) sub(path string) R {
	v, fd, ok := r.at(path)
	if fd == nil || !ok {
		return R{}
	}
	return R{v.Message()}
}
func (r R) strings(path string) map[string]string {
	out := map[string]string{}
	v, fd, _ := r.at(path)
	if fd == nil {
		return out
	}
	v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		out[k.String()] = v.String()
		return true
	})
	return out
}
func (r R) json() M {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r.m.Interface())
	if err != nil {
		panic(err)
	}
	var out M
	_ = json.Unmarshal(text, &out)
	return out
}

// invoke makes a unary call.
func invoke(ctx context.Context, conn *grpc.ClientConn, method string, in M) (R, error) {
	t := typesOf(method)
	out := newMessage(t.out)
	err := conn.Invoke(ctx, method, messageOf(t.in, in), out)
	return R{out}, err
}

// stream is one streaming call.
type stream struct {
	grpc.ClientStream
	types  methodTypes
	cancel context.CancelFunc
}

func openStream(ctx context.Context, conn *grpc.ClientConn, method string, in M, bidi bool) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: bidi}, method)
	if err != nil {
		cancel()
		return nil, err
	}
	st := &stream{s, typesOf(method), cancel}
	if in != nil {
		if err := st.send(in); err != nil {
			cancel()
			return nil, err
		}
	}
	if !bidi {
		if err := s.CloseSend(); err != nil {
			cancel()
			return nil, err
		}
	}
	return st, nil
}

func (s *stream) send(in M) error { return s.SendMsg(messageOf(s.types.in, in)) }
func (s *stream) recv() (R, error) {
	out := newMessage(s.types.out)
	err := s.RecvMsg(out)
	return R{out}, err
}

// rawCodec passes bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

func goodBytes(m *dynamicpb.Message) ([]byte, error) { return proto.Marshal(m) }
