package format_test

import (
	"testing"

	"refill/views/format"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{format.Runs("ai.reply", "gpt-4-turbo", 204), "204 replies · GPT-4 Turbo"},
		{format.Runs("ai.knowledge_sync", "", 1), "1 website sync"},
		{format.Runs("acme.deep_dive", "", 2), "2 deep dive runs"},
		{format.Runs("odd.", "", 1), "1 odd."},
		{format.ActionModel("ai.reply", "gpt-3.5-turbo"), "GPT-3.5"},
		{format.ActionModel("ai.chat", "gpt-4o-mini"), "Chat answer · gpt-4o-mini"},
		{format.ActionModel("ai.knowledge_sync", ""), "Website sync"},
		{format.Action("éclair"), "Éclair"},
		{format.Model("llama-9"), "llama-9"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
