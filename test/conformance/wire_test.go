// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The .proto files against a table of their own: a wrong number would be
// wrong on both sides of every other test.
func TestWireNumbers(t *testing.T) {
	data, err := os.ReadFile("testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, line := range strings.Split(string(data), "\n") {
		name, rest, found := strings.Cut(line, ": ")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		enum, isEnum := strings.CutPrefix(name, "enum ")
		for _, f := range strings.Fields(rest) {
			field, number, _ := strings.Cut(f, "=")
			n, _ := strconv.Atoi(number)
			fields++
			if isEnum {
				d := findEnum(enum)
				if d == nil {
					t.Errorf("there is no enum %s", enum)
					break
				}
				if v := d.Values().ByName(protoreflect.Name(field)); v == nil || int(v.Number()) != n {
					t.Errorf("%s.%s is not %d", enum, field, n)
				}
				continue
			}
			d := messages[name]
			if d == nil {
				t.Errorf("there is no message %s", name)
				break
			}
			if v := d.Fields().ByName(protoreflect.Name(field)); v == nil || int(v.Number()) != n {
				t.Errorf("%s.%s is not %d", name, field, n)
			}
		}
	}
	if fields < 200 {
		t.Errorf("the table holds %d fields only", fields)
	}
}

func findEnum(name string) protoreflect.EnumDescriptor {
	for _, m := range messages {
		for _, list := range []protoreflect.EnumDescriptors{m.Enums(), m.ParentFile().Enums()} {
			for i := 0; i < list.Len(); i++ {
				if string(list.Get(i).FullName()) == name {
					return list.Get(i)
				}
			}
		}
	}
	return nil
}

func unhex(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The way from HCL to msgpack here gives the bytes that Nomad gives.
func TestPipeline(t *testing.T) {
	attr := func(name, typ string) M { return M{"Attr": M{"name": name, "type": typ}} }
	object := func(m M) M { return M{"object": M{"attributes": m}} }
	spec := R{messageOf("hashicorp.nomad.plugins.shared.hclspec.Spec", object(M{
		"image":   M{"Attr": M{"name": "image", "type": "string", "required": true}},
		"args":    attr("args", "list(string)"),
		"pids":    attr("pids", "number"),
		"memswap": attr("", "number"),
		"ratio":   attr("ratio", "number"),
		"ro":      M{"default": M{"primary": attr("ro", "bool"), "default": M{"literal": M{"value": "false"}}}},
		"labels":  attr("labels", "list(map(string))"),
		"opts":    M{"block_attrs": M{"name": "opts", "type": "string"}},
		"mount":   M{"block_list": M{"name": "mount", "nested": object(M{"src": attr("src", "string"), "rw": attr("rw", "bool")})}},
		"init":    M{"block_value": M{"name": "init", "nested": object(M{"a": attr("a", "string")})}},
		"vols":    M{"block_list": M{"name": "vols", "nested": object(M{"a": attr("a", "string")})}},
	}))}
	got, err := encodeHCL(spec, `
		image = "alpine:3"
		args = ["-c", "id"]
		pids = 300
		memswap = 1.5
		ratio = 0.1
		labels { a = "b" }
		labels { c = "d" }
		opts = { k = "v" }
		mount { src = "/s" }`)
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "8b a461726773 92 a22d63 a26964 a5696d616765 a8616c70696e653a33 a4696e6974 c0"+
		"a66c6162656c73 92 81a161a162 81a163a164 a76d656d73776170 cb3ff8000000000000"+
		"a56d6f756e74 91 82 a27277c0 a3737263a22f73 a46f707473 81a16ba176 a470696473 cd012c a5726174696f a3302e31"+
		"a2726f c2 a4766f6c73 90")
	if string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	for text, says := range map[string]string{
		`imgae = "x"`:                     "imgae",
		`args = ["x"]`:                    "image",
		"image = \"x\"\npids = \"x\"":     "number",
		"image = \"x\"\nopts {}\nopts {}": "opts",
	} {
		if _, err := encodeHCL(spec, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSpecOnTheWire(t *testing.T) {
	spec := messageOf("hashicorp.nomad.plugins.shared.hclspec.Spec", M{"object": M{"attributes": M{
		"count": M{"default": M{"primary": M{"Attr": M{"name": "count", "type": "number"}}, "default": M{"literal": M{"value": "1"}}}}}}})
	got := newMessage("hashicorp.nomad.plugins.shared.hclspec.Spec")
	err := proto.Unmarshal([]byte(unhex(t, "0a27 0a25 0a05 636f756e74 121c 4a1a 0a11 1a0f 0a05 636f756e74 1206 6e756d626572 1205 5203 0a01 31")), got)
	if err != nil || !proto.Equal(spec, got) {
		t.Errorf("got %v, want %v: %v", got, spec, err)
	}
}
