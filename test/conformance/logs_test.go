// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"encoding/json"
	"time"
)

// badLogLine says what go-plugin would not like about a line of stderr:
// some of it would take the agent down.
func badLogLine(line string) string {
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return "no JSON: " + err.Error()
	}
	for _, key := range []string{"@level", "@message", "@timestamp"} {
		if _, is := m[key].(string); !is {
			return key + " is no string"
		}
	}
	switch m["@level"] {
	case "trace", "debug", "info", "warn", "error":
	default:
		return "unknown level"
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", m["@timestamp"].(string)); err != nil {
		return err.Error()
	}
	if len(line) >= 64<<10 {
		return "too long"
	}
	return ""
}
