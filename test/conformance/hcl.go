// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"github.com/zclconf/go-cty/cty/msgpack"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What a job file goes through until a driver sees it, in three steps:
// generic map (parser, no schema), HCL-JSON against the driver's schema
// (client), msgpack.

var functions = map[string]function.Function{
	"abs": stdlib.AbsoluteFunc, "coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc,
	"hasindex": stdlib.HasIndexFunc, "int": stdlib.IntFunc, "jsondecode": stdlib.JSONDecodeFunc,
	"jsonencode": stdlib.JSONEncodeFunc, "length": stdlib.LengthFunc, "lower": stdlib.LowerFunc,
	"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "reverse": stdlib.ReverseFunc,
	"strlen": stdlib.StrlenFunc, "substr": stdlib.SubstrFunc, "upper": stdlib.UpperFunc,
}

// ---- Our Spec message to hcldec's ----

func decoderSpec(spec R, key string) (hcldec.Spec, error) {
	name := func(given string) (string, error) {
		if given != "" {
			return given, nil
		}
		if key == "" {
			return "", fmt.Errorf("missing name in a nested spec")
		}
		return key, nil
	}
	fd := spec.m.WhichOneof(spec.m.Descriptor().Oneofs().ByName("block"))
	if fd == nil {
		return nil, fmt.Errorf("%s: empty spec", key)
	}
	s := R{spec.m.Get(fd).Message()}
	switch string(fd.Name()) {
	case "object":
		out := hcldec.ObjectSpec{}
		var failed error
		v, _, _ := s.at("attributes")
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out[k.String()], failed = decoderSpec(R{v.Message()}, k.String())
			return failed == nil
		})
		return out, failed
	case "array":
		out := hcldec.TupleSpec{}
		v, _, _ := s.at("values")
		for i := 0; i < v.List().Len(); i++ {
			e, err := decoderSpec(R{v.List().Get(i).Message()}, "")
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	case "Attr", "block_attrs":
		n, err := name(s.str("name"))
		if err != nil {
			return nil, err
		}
		typ, err := typeOf(s.str("type"))
		if err != nil {
			return nil, fmt.Errorf("%s: %v", n, err)
		}
		if fd.Name() == "Attr" {
			return &hcldec.AttrSpec{Name: n, Type: typ, Required: s.boolean("required")}, nil
		}
		return &hcldec.BlockAttrsSpec{TypeName: n, ElementType: typ, Required: s.boolean("required")}, nil
	case "literal":
		expr, diags := hclsyntax.ParseExpression([]byte(s.str("value")), "literal", hcl.InitialPos)
		if diags.HasErrors() {
			return nil, diags
		}
		v, diags := expr.Value(&hcl.EvalContext{Functions: functions})
		if diags.HasErrors() {
			return nil, diags
		}
		return &hcldec.LiteralSpec{Value: v}, nil
	case "default":
		primary, err := decoderSpec(s.sub("primary"), "")
		if err != nil {
			return nil, err
		}
		def, err := decoderSpec(s.sub("default"), "")
		if err != nil {
			return nil, err
		}
		return &hcldec.DefaultSpec{Primary: primary, Default: def}, nil
	}
	n, err := name(s.str("name"))
	if err != nil {
		return nil, err
	}
	if !s.has("nested") {
		return nil, fmt.Errorf("%s: no nested spec", n)
	}
	nested, err := decoderSpec(s.sub("nested"), "")
	if err != nil {
		return nil, err
	}
	switch string(fd.Name()) {
	case "block_value":
		return &hcldec.BlockSpec{TypeName: n, Required: s.boolean("required"), Nested: nested}, nil
	case "block_list":
		return &hcldec.BlockListSpec{TypeName: n, Nested: nested, MinItems: int(s.num("min_items")), MaxItems: int(s.num("max_items"))}, nil
	case "block_set":
		return &hcldec.BlockSetSpec{TypeName: n, Nested: nested, MinItems: int(s.num("min_items")), MaxItems: int(s.num("max_items"))}, nil
	}
	return nil, fmt.Errorf("%s: a kind of spec that this library has no use for: %s", n, fd.Name())
}

func typeOf(text string) (cty.Type, error) {
	if text == "" {
		return cty.NilType, fmt.Errorf("missing type")
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), "type", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilType, diags
	}
	typ, diags := typeexpr.TypeConstraint(expr)
	if diags.HasErrors() {
		return cty.NilType, diags
	}
	return typ, nil
}

// ---- A job's config block to a generic map ----

func jobConfig(text string) (map[string]any, error) {
	file, diags := hclsyntax.ParseConfig([]byte(text), "job", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	return genericBody(file.Body.(*hclsyntax.Body))
}

func genericBody(body *hclsyntax.Body) (map[string]any, error) {
	out := map[string]any{}
	for name, attr := range body.Attributes {
		v, err := genericValue(attr.Expr)
		if err != nil {
			return nil, err
		}
		// An object literal looks like a block, for HCL1's sake.
		if _, is := attr.Expr.(*hclsyntax.ObjectConsExpr); is {
			v = []any{v}
		}
		out[name] = v
	}
	for _, block := range body.Blocks {
		v, err := genericBody(block.Body)
		if err != nil {
			return nil, err
		}
		for i := len(block.Labels) - 1; i >= 0; i-- {
			v = map[string]any{block.Labels[i]: []any{v}}
		}
		list, _ := out[block.Type].([]any)
		out[block.Type] = append(list, v)
	}
	return out, nil
}

func genericValue(expr hclsyntax.Expression) (any, error) {
	// Variables of the client's stay as text.
	if t, is := expr.(*hclsyntax.TemplateExpr); is && len(t.Variables()) > 0 {
		var out string
		for _, p := range t.Parts {
			if l, is := p.(*hclsyntax.LiteralValueExpr); is {
				out += l.Val.AsString()
				continue
			}
			for _, v := range p.Variables() {
				out += "${" + v.RootName() + "}"
			}
		}
		return out, nil
	}
	if w, is := expr.(*hclsyntax.TemplateWrapExpr); is {
		return "${" + w.Wrapped.Variables()[0].RootName() + "}", nil
	}
	v, diags := expr.Value(&hcl.EvalContext{Functions: functions})
	if diags.HasErrors() {
		return nil, diags
	}
	data, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, err
	}
	return json.RawMessage(data), nil
}

// ---- Generic map to msgpack ----

func encodeConfig(spec R, config any, variables map[string]string) ([]byte, error) {
	dec, err := decoderSpec(spec, "")
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	file, diags := hcljson.Parse(text, "config")
	if diags.HasErrors() {
		return nil, all(diags)
	}
	vars := map[string]cty.Value{}
	for k, v := range variables {
		vars[k] = cty.StringVal(v)
	}
	v, diags := hcldec.Decode(file.Body, dec, &hcl.EvalContext{Variables: vars, Functions: functions})
	if diags.HasErrors() {
		return nil, all(diags)
	}
	return msgpack.Marshal(v, v.Type())
}

// all: an error that tells every diagnostic, not the first only.
func all(diags hcl.Diagnostics) error {
	var list []error
	for _, d := range diags {
		list = append(list, d)
	}
	return errors.Join(list...)
}

// encodeHCL: a snippet of a job file to what the driver gets.
func encodeHCL(spec R, text string) ([]byte, error) {
	config, err := jobConfig(text)
	if err != nil {
		return nil, err
	}
	return encodeConfig(spec, config, map[string]string{"NOMAD_PORT_http": "8080", "NOMAD_ALLOC_ID": "1234"})
}
