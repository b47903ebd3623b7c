// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Snippets of a job's config block, as people write them, and what the
// driver is to read (InspectTask shows it) or the error that is to come up.
// The tasks fail to start after their config was read (there is no command),
// or sleep.
var snippets = []struct {
	hcl  string
	want map[string]string // attributes without "config."
	err  string            // pattern of StartTask's error, or "hcl: pattern" where Nomad itself refuses
}{
	{hcl: `command = "sleep 99"`, want: map[string]string{
		"command": "sleep 99", "args": "", "mode": "run", "path": "(absent)", "count": "(absent)", "big": "(absent)",
		"number": "(absent)", "flag": "true", "tristate": "(absent)", "words": "", "labels": "", "weights": "",
		"init": "(absent)", "mount": "", "secret_length": "0", "old": "(absent)"}},
	{hcl: `count = 1`, want: map[string]string{"count": "1"}},
	{hcl: `count = "42"`, want: map[string]string{"count": "42"}},
	{hcl: `count = 100`, want: map[string]string{"count": "100"}},
	{hcl: `count = 7.0`, want: map[string]string{"count": "7"}},
	{hcl: `count = null`, want: map[string]string{"count": "(absent)"}},
	{hcl: `count = length(["a", "b"])`, want: map[string]string{"count": "2"}},
	{hcl: `big = 9223372036854775807`, want: map[string]string{"big": "9223372036854775807"}},
	{hcl: `big = -9223372036854775807`, want: map[string]string{"big": "-9223372036854775807"}},
	{hcl: `big = "${NOMAD_PORT_http}"`, want: map[string]string{"big": "8080"}},
	{hcl: `big = 4294967296`, want: map[string]string{"big": "4294967296"}},
	{hcl: `big = -129`, want: map[string]string{"big": "-129"}},
	{hcl: `number = 1.5`, want: map[string]string{"number": "1.5"}},
	{hcl: `number = 0.1`, want: map[string]string{"number": "0.10000000000000001"}},
	{hcl: `number = "0.25"`, want: map[string]string{"number": "0.25"}},
	{hcl: `number = 3`, want: map[string]string{"number": "3"}},
	{hcl: `number = -1e30`, want: map[string]string{"number": "-1.0000000000000000199e+30"}},
	{hcl: `flag = false`, want: map[string]string{"flag": "false"}},
	{hcl: `flag = "false"`, want: map[string]string{"flag": "false"}},
	{hcl: `flag = "1"`, want: map[string]string{"flag": "true"}},
	{hcl: `tristate = false`, want: map[string]string{"tristate": "false"}},
	{hcl: `tristate = true`, want: map[string]string{"tristate": "true"}},
	{hcl: `words = ["red", "blue", "red"]`, want: map[string]string{"words": "red,blue,red"}},
	{hcl: `words = []`, want: map[string]string{"words": ""}},
	{hcl: `args = ["a b", "", "$1", "ü"]`, want: map[string]string{"args": "a b,,$1,ü"}},
	{hcl: `args = [1, true]`, want: map[string]string{"args": "1,true"}},
	{hcl: `args = concat(["x"], ["${NOMAD_ALLOC_ID}-y"])`, err: "hcl: "},
	{hcl: `args = ["x", "${NOMAD_ALLOC_ID}-y"]`, err: "hcl: "},
	{hcl: `path = "/${NOMAD_ALLOC_ID}/y"`, want: map[string]string{"path": "/1234/y"}},
	{hcl: `labels { a = "b" }`, want: map[string]string{"labels": "a=b"}},
	{hcl: "labels {\n a = \"b\"\n c = 5\n}", want: map[string]string{"labels": "a=b,c=5"}},
	{hcl: `labels = { a = "b", "x.y/z" = "d" }`, want: map[string]string{"labels": "a=b,x.y/z=d"}},
	{hcl: "labels { a = \"1\" }\nlabels { b = \"2\" }", want: map[string]string{"labels": "a=1,b=2"}},
	{hcl: "labels { a = \"1\" }\nlabels { a = \"2\" }", want: map[string]string{"labels": "a=2"}},
	{hcl: `labels {}`, want: map[string]string{"labels": ""}},
	{hcl: `weights { a = 5 }`, want: map[string]string{"weights": "a=5"}},
	{hcl: `weights = { a = 5, b = "7" }`, want: map[string]string{"weights": "a=5,b=7"}},
	{hcl: `init { name = "n" }`, want: map[string]string{"init": "n on"}},
	{hcl: `init = { name = "n", enabled = false }`, want: map[string]string{"init": "n off"}},
	{hcl: "init {\n name = \"n\"\n size { width = 3 }\n}", want: map[string]string{"init": "n on 3x1"}},
	{hcl: "init {\n name = \"n\"\n size {\n width = 3\n height = 4\n}\n}", want: map[string]string{"init": "n on 3x4"}},
	{hcl: `mount { source = "/a" }`, want: map[string]string{"mount": "/a:/mnt:rw:0"}},
	{hcl: "mount {\n source = \"/a\"\n target = \"/x\"\n readonly = true\n}\nmount {\n source = \"/b\"\n options { o = 1 }\n}",
		want: map[string]string{"mount": "/a:/x:ro:0,/b:/mnt:rw:1"}},
	{hcl: `mount = [{ source = "/a" }, { source = "/b" }]`, want: map[string]string{"mount": "/a:/mnt:rw:0,/b:/mnt:rw:0"}},
	{hcl: `secret = "abcdef"`, want: map[string]string{"secret_length": "6"}},
	{hcl: `old = "x"`, want: map[string]string{"old": "x"}},
	{hcl: `path = "/a$${b}"`, want: map[string]string{"path": "/a${b}"}, err: "hcl: "},

	// Wrong ones.
	{hcl: `imgae = "x"`, err: `hcl: "imgae"`},
	{hcl: `count = 0`, err: `count.*'?0'?.*1.*100`},
	{hcl: `count = 101`, err: `count.*101.*1.*100`},
	{hcl: `count = 1.5`, err: `count.*1\.5`},
	{hcl: `count = "many"`, err: `hcl: number`},
	{hcl: `big = 9223372036854775808`, err: `big.*9223372036854775808`},
	{hcl: `mode = "walk"`, err: `mode.*walk.*run.*fail.*slow.*remote`},
	{hcl: `path = "relative/x"`, err: `path.*relative/x.*absolute`},
	{hcl: `path = ["/x"]`, err: `hcl: string`},
	{hcl: `words = ["red", "pink"]`, err: `words.*pink.*red.*green.*blue`},
	{hcl: `words = ["red", "red", "red", "red"]`, err: `words.*3`},
	{hcl: `words = "red"`, err: `hcl: list`},
	{hcl: `weights { a = 1001 }`, err: `weights.*a.*1001.*1000`},
	{hcl: `weights { a = "x" }`, err: `weights.*a.*x|hcl: number`},
	{hcl: `flag = "perhaps"`, err: `hcl: bool`},
	{hcl: `init { enabled = true }`, err: `hcl: name`},
	{hcl: "init { name = \"a\" }\ninit { name = \"b\" }", err: `hcl: init`},
	{hcl: "init {\n name = \"n\"\n size { width = 0 }\n}", err: `init\.size\.width.*0.*1.*1000|size.*width.*0`},
	{hcl: "init {\n name = \"n\"\n colour = 1\n}", err: `hcl: colour`},
	{hcl: `mount { target = "/x" }`, err: `hcl: source`},
	{hcl: `mount { source = "x" }`, err: `mount.*source.*'x'.*absolute`},
	{hcl: strings.Repeat("mount { source = \"/a\" }\n", 5), err: `mount.*4|hcl: mount`},
}

func TestJobSnippets(t *testing.T) {
	h := sharedHost(t)
	schema := h.must(t, driverSvc+"TaskConfigSchema", M{})
	for _, s := range snippets {
		t.Run(s.hcl, func(t *testing.T) {
			t.Parallel()
			text := s.hcl
			if s.err == "" && !strings.Contains(text, "command") {
				text += "\ncommand = \"sleep 99\"\n"
			}
			config, err := encodeHCL(schema.sub("spec"), text)
			if refusal, is := strings.CutPrefix(s.err, "hcl: "); is || err != nil {
				if s.want == nil && refusal != "" && err == nil {
					// The driver's word counts where HCL lets it pass.
					s.err = refusal
				} else if err != nil && s.err != "" {
					for _, p := range strings.Split(s.err, "|") {
						if p, is := strings.CutPrefix(p, "hcl: "); is && strings.Contains(err.Error(), p) {
							return
						}
					}
					t.Fatalf("HCL refuses with %v, want %s", err, s.err)
				} else if err != nil {
					t.Fatalf("HCL refuses: %v", err)
				}
			}
			k := newTask(t, h, nil)
			k.config = config
			if s.err != "" && s.want == nil && !strings.HasPrefix(s.err, "hcl: ") {
				err := k.start()
				wantCode(t, err, codes.InvalidArgument, strings.Split(s.err, "|hcl:")[0])
				return
			}
			if s.want == nil {
				return
			}
			k.mustStart(t)
			got := k.inspect(t).strings("driver.attributes")
			for name, want := range s.want {
				if name == "number" {
					var a, b float64
					fmt.Sscan(got["config.number"], &a)
					fmt.Sscan(want, &b)
					if want != "(absent)" && a == b {
						continue
					}
				}
				if got["config."+name] != want {
					t.Errorf("%s: got %q, want %q", name, got["config."+name], want)
				}
			}
		})
	}
}

// A client older or newer than the schema, or one that is no Nomad at all.
func TestForeignConfig(t *testing.T) {
	h := sharedHost(t)
	for _, c := range []struct{ what, bytes, err string }{
		{"not a map", "\x01", "map|block|config"},
		{"a list", "\x91\x01", "map|block|config"},
		{"cut", "\x82\xa7command", ""},
		{"nothing but a length", "\xdf\xff\xff\xff\xff", ""},
		{"long string", "\x81\xa7command\xdb\xff\xff\xff\xff", ""},
		{"unknown option", "\x81\xa5imgae\xa1x", "unknown option 'imgae'"},
		{"misspelt option", "\x81\xa7comand1\xa1x", "comand1.*did you mean 'command'"},
		{"key is a number", "\x81\x01\x01", ""},
		{"bin", "\x81\xa7command\xc4\x01x", "command.*binary"},
		{"ext", "\x81\xa7command\xd4\x00\x00", "command.*not known"},
		{"NUL", "\x81\xa7command\xa3a\x00b", "NUL"},
		{"not UTF-8", "\x81\xa7command\xa2\xff\xfe", "UTF-8"},
		{"deep", "\x81\xa4args" + strings.Repeat("\x91", 100000), ""},
		{"two documents", "\x80\x80", ""},
		{"duplicate key", "\x82\xa5count\x01\xa5count\x02", "count"},
		{"wrong type", "\x81\xa7command\x91\x01", "command"},
		{"infinity", "\x81\xa5count\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "count"},
		{"NaN", "\x81\xa6number\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "number"},
		{"float32", "\x81\xa5count\xca\x3f\xc0\x00\x00", "count"},
	} {
		k := newTask(t, h, nil)
		k.config = []byte(c.bytes)
		if err := k.start(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", c.what, err)
		} else {
			wantCode(t, err, codes.InvalidArgument, c.err)
			if strings.ContainsAny(status.Convert(err).Message(), "\n\x00\xff") {
				t.Errorf("%s: the text is not clean: %q", c.what, status.Convert(err).Message())
			}
		}
	}
	k := newTask(t, h, nil)
	k.config = nil // an empty one is that of a job without config
	wantCode(t, k.start(), codes.InvalidArgument, "command")
}

func TestSecretsStayInside(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{"token": "canary-token-1", "auth": []M{{"user": "u", "password": "canary-password-2"}}})
	k := newTask(t, h, M{"command": "sleep 99", "secret": "canary-secret-3"})
	k.mustStart(t)
	if s := k.inspect(t).str("driver"); strings.Contains(s, "canary") {
		t.Errorf("InspectTask tells: %s", s)
	}
	if strings.Contains(string(k.handle.bytes("driver_state")), "canary") {
		t.Error("driver_state holds a secret")
	}
	bad := newTask(t, h, M{"command": "sleep 99", "secret": "canary-secret-3", "count": 0})
	if err := bad.start(); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("StartTask: %v", err)
	}
	if strings.Contains(h.logs.text(), "canary") {
		t.Error("the log holds a secret")
	}
	grepTree(t, h.stateDir, "canary")
	h.crash()
	h2 := start(t, launch{stateDir: h.stateDir})
	h2.ready(t, M{})
	if err := k.recover(h2, false); err != nil {
		t.Fatal(err)
	}
	if got := k.inspect(t).strings("driver.attributes")["config.secret_length"]; got != "0" {
		t.Errorf("the secret came back: length %s", got)
	}
	k.destroy(t)
}

func TestConfigSchema(t *testing.T) {
	h := start(t, launch{})
	for _, method := range []string{baseSvc + "ConfigSchema", driverSvc + "TaskConfigSchema"} {
		a, b := h.must(t, method, M{}), h.must(t, method, M{})
		if !a.has("spec.object") || fmt.Sprint(a.json()) != fmt.Sprint(b.json()) {
			t.Errorf("%s: no object, or not the same twice", method)
		}
		if _, err := decoderSpec(a.sub("spec"), ""); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestSetConfig(t *testing.T) {
	h := start(t, launch{})
	h.setConfig(t, M{}, false)
	h.setConfig(t, M{}, false)
	h.setConfig(t, M{"greeting": "one", "labels": []M{{"a": "b"}}, "tags": []string{"x"}, "limit": "7"}, true)
	h.setConfig(t, M{"greeting": "one", "labels": []M{{"a": "b"}}, "tags": []string{"x"}, "limit": "7"}, true)
	for _, c := range []struct {
		config M
		err    string
	}{
		{M{"limit": 11}, "limit.*11.*1.*10"},
		{M{"health_file": "x"}, "health_file.*'x'.*absolute"},
		{M{"greeting": ""}, "greeting"},
	} {
		_, err := h.call(baseSvc+"SetConfig", M{"msgpack_config": h.configBytes(t, c.config), "plugin_api_version": apiVersion})
		wantCode(t, err, codes.InvalidArgument, c.err)
	}
	_, err := h.call(baseSvc+"SetConfig", M{"msgpack_config": []byte("\x81\xa3foo\x01"), "plugin_api_version": apiVersion})
	wantCode(t, err, codes.InvalidArgument, "foo")
	// A refused configuration does not replace the last good one.
	h.must(t, driverSvc+"Init", M{})
	f := h.stream(t, driverSvc+"Fingerprint", M{}, false)
	r, err := f.recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := attribute(r, "driver.testdriver.greeting"); got != "one" {
		t.Errorf("greeting %q", got)
	}
}

func TestInitFails(t *testing.T) {
	h := start(t, launch{})
	h.setConfig(t, M{"init_fails": true}, true)
	// An agent shows no driver whose Init fails.
	h.must(t, driverSvc+"Init", M{})
	f := h.stream(t, driverSvc+"Fingerprint", M{}, false)
	r, err := f.recv()
	if err != nil || r.str("health") != "UNHEALTHY" || !strings.Contains(r.str("health_description"), "init_fails") {
		t.Errorf("%v, %v", r.json(), err)
	}
}

func TestCapabilities(t *testing.T) {
	h := sharedHost(t)
	r := h.must(t, driverSvc+"Capabilities", M{})
	if !r.boolean("capabilities.send_signals") || !r.boolean("capabilities.exec") || r.str("capabilities.fs_isolation") != "NONE" ||
		r.boolean("capabilities.must_create_network") || r.boolean("capabilities.disable_log_collection") {
		t.Errorf("%v", r.json())
	}
	_, err := h.call(driverSvc+"CreateNetwork", M{"alloc_id": "x"})
	wantCode(t, err, codes.Unimplemented, "(?i)network")
}

func TestNetwork(t *testing.T) {
	h := start(t, launch{env: []string{"TESTDRIVER_NETWORK=1"}})
	h.ready(t, M{})
	if !h.must(t, driverSvc+"Capabilities", M{}).boolean("capabilities.must_create_network") {
		t.Error("no must_create_network")
	}
	r := h.must(t, driverSvc+"CreateNetwork", M{"alloc_id": "abc", "hostname": "web"})
	if r.str("isolation_spec.path") != "/run/netns/abc" || r.str("isolation_spec.mode") != "GROUP" || !r.boolean("created") ||
		r.strings("isolation_spec.labels")["hostname"] != "web" {
		t.Errorf("%v", r.json())
	}
	spec := M{"mode": "GROUP", "path": "/run/netns/abc", "labels": M{"hostname": "web"}}
	h.must(t, driverSvc+"DestroyNetwork", M{"alloc_id": "abc", "isolation_spec": spec})
	h.must(t, driverSvc+"DestroyNetwork", M{"alloc_id": "abc"})
	_, err := h.call(driverSvc+"DestroyNetwork", M{"alloc_id": "busy", "isolation_spec": spec})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("DestroyNetwork: %v", err)
	}
}
