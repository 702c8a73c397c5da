package format

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// actions are the words for the actions of the preset catalogues: one, many.
//
//nolint:gochecknoglobals // a constant table
var actions = map[string][2]string{
	"ai.reply":              {"reply", "replies"},
	"ai.command":            {"command", "commands"},
	"ai.knowledge_sync":     {"website sync", "website syncs"},
	"ai.tool_use":           {"tool use", "tool uses"},
	"ai.generation":         {"generation", "generations"},
	"infra.phone_number":    {"phone number", "phone numbers"},
	"ai.message":            {"message", "messages"},
	"ai.draft":              {"draft", "drafts"},
	"ai.label":              {"label run", "label runs"},
	"ai.prioritize":         {"prioritisation", "prioritisations"},
	"ai.chat":               {"chat answer", "chat answers"},
	"ai.article":            {"article", "articles"},
	"ai.crawl":              {"page crawl", "page crawls"},
	"ai.scrape":             {"page scrape", "page scrapes"},
	"ai.document":           {"document", "documents"},
	"ai.embed_conversation": {"embedded conversation", "embedded conversations"},
}

// modelNames are the names that differ from their codes by more than capitals.
//
//nolint:gochecknoglobals // a constant table
var modelNames = map[string]string{
	"gpt-3.5-turbo": "GPT-3.5",
	"gpt-4-turbo":   "GPT-4 Turbo",
	"gpt-4":         "GPT-4",
}

// Model is a model's name: "GPT-4 Turbo". A code that is not known is shown as it
// is, so that nobody looks for a name that is nowhere else.
func Model(code string) string {
	if name, ok := modelNames[code]; ok {
		return name
	}
	return code
}

// Action is an action's name at the start of a line: "Website sync".
func Action(code string) string {
	one := actionWords(code)[0]
	first, size := utf8.DecodeRuneInString(one)
	return string(unicode.ToUpper(first)) + one[size:]
}

// ActionCount is how often an action ran: "204 replies", "1 website sync".
func ActionCount(code string, n int64) string {
	words := actionWords(code)
	return Plural(n, words[0], words[1])
}

// ActionModel names an action together with its model, as charts and tables list
// it: a reply is known by its model, everything else by what it does.
func ActionModel(action, model string) string {
	switch {
	case model == "":
		return Action(action)
	case action == "ai.reply" || action == "":
		return Model(model)
	default:
		return Action(action) + " · " + Model(model)
	}
}

// Runs is what a line of history says about usage: "204 replies · GPT-4 Turbo".
func Runs(action, model string, n int64) string {
	if model == "" {
		return ActionCount(action, n)
	}
	return ActionCount(action, n) + " · " + Model(model)
}

// actionWords finds the words of an action, or makes them from its code.
func actionWords(code string) [2]string {
	if words, ok := actions[code]; ok {
		return words
	}
	name := code
	if i := strings.LastIndexByte(code, '.'); i >= 0 && i < len(code)-1 {
		name = code[i+1:]
	}
	name = strings.ReplaceAll(name, "_", " ")
	if name == "" {
		name = "action"
	}
	return [2]string{name, name + " runs"}
}

// ActionMany is what an action is called in the plural at the start of a line:
// "Website syncs".
func ActionMany(code string) string {
	many := actionWords(code)[1]
	first, size := utf8.DecodeRuneInString(many)
	return string(unicode.ToUpper(first)) + many[size:]
}
