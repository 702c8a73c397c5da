package mutation

const (
	portalTests = "./handlers"
	apiTests    = "./handlers/api"
	hookTests   = "./billing/hook"
	modelsTests = "./models"
)

// guards are defects of what keeps people, programs and browsers to what is theirs.
var guards = []defect{
	{
		name:  "whoever is signed in enters",
		edits: []edit{{"handlers/policy.go", "		if !slices.Contains(p.roles, v.role()) {", "		if false && !slices.Contains(p.roles, v.role()) {"}},
		pkg:   portalTests, tests: "TestEveryRouteByEveryRole",
	},
	{
		name:  "a route stands open to one role too many",
		edits: []edit{{"handlers/routes.go", `{get, "/settings/api-keys", owners, `, `{get, "/settings/api-keys", buyers, `}},
		pkg:   portalTests, tests: "TestEveryRouteByEveryRole",
	},
	{
		name:  "who only looks may change things",
		edits: []edit{{"handlers/policy.go", "		if v.viewer.Assisting && !isSafe(", "		if false && v.viewer.Assisting && !isSafe("}},
		pkg:   portalTests, tests: "TestEveryRouteByWhoLooks",
	},
	{
		name: "a query finds any agency's rows",
		edits: []edit{{
			"billing/bulk.go", `tx.Where("agency_id = ? AND id = ?", agency, id).Take(&out.BulkAssignment)`, `tx.Where("(agency_id = ? OR 1 = 1) AND id = ?", agency, id).Take(&out.BulkAssignment)`,
		}},
		pkg: portalTests, tests: "TestEveryRouteByEveryRole",
	},
	{
		name:  "a row that knows only its agency stands for all of the agency's",
		edits: []edit{{"models/whole_keys.go", "		return filled > 0 && filled < len(s.Schema.PrimaryFields)", "		return filled > len(s.Schema.PrimaryFields)"}},
		pkg:   modelsTests, tests: "TestAPartOfAKeyReachesNoRow",
	},
	{
		name:  "a row is found by its id in any agency",
		edits: []edit{{"models/whole_keys.go", " || byOneValue(where.Exprs) {", " || byOneValue(where.Exprs[:0]) {"}},
		pkg:   modelsTests, tests: "TestAPartOfAKeyReachesNoRow",
	},
	{
		name:  "rows are deleted by a part of their key",
		edits: []edit{{"models/whole_keys.go", `		db.Callback().Delete().Before("gorm:delete").Register(name, refusePartOfKey),` + "\n", ""}},
		pkg:   modelsTests, tests: "TestAPartOfAKeyReachesNoRow",
	},
	{
		name:  "any token fits a form",
		edits: []edit{{"handlers/csrf.go", "	if !hmac.Equal(token, tokenOf(v.session.ID)) {", "	if false && !hmac.Equal(token, tokenOf(v.session.ID)) {"}},
		pkg:   portalTests, tests: "TestFormsNeedTheirToken",
	},
	{
		name:  "forms may come from any site",
		edits: []edit{{"handlers/csrf.go", "	if err := a.origin.Check(c.Request()); err != nil {", "	if err := a.origin.Check(c.Request()); err != nil && c.Request() == nil {"}},
		pkg:   portalTests, tests: "TestFormsNeedTheirToken",
	},
	{
		name:  "pages may run what is written into them",
		edits: []edit{{"handlers/headers.go", "script-src 'self'; ", "script-src 'self' 'unsafe-inline'; "}},
		pkg:   portalTests, tests: "TestHeadersStandOnEveryAnswer",
	},
	{
		name:  "one is led wherever an address says",
		edits: []edit{{"handlers/next.go", "func localPath(raw string) string {\n", "func localPath(raw string) string {\n	if raw != \"\" {\n		return raw\n	}\n"}},
		pkg:   portalTests, tests: "TestNothingLeadsElsewhere|TestNextLeadsNowhereElse|FuzzReturnTo",
	},
	{
		name: "a form takes the agency that it names",
		edits: []edit{{
			"handlers/top_up.go", "a.Billing.AllowClientTopUps(c.Request().Context(), v.viewer.Agency.ID, ",
			`a.Billing.AllowClientTopUps(c.Request().Context(), func() models.AgencyID {
		if named, err := models.ParseID[models.AgencyID](c.FormValue("agency_id")); err == nil {
			return named
		}
		return v.viewer.Agency.ID
	}(), `,
		}},
		pkg: portalTests, tests: "TestHostileRequests", env: "LINKS=2",
	},
	{
		name:  "a cell may be a formula",
		edits: []edit{{"billing/csv.go", `		return "'" + text`, "		return text"}},
		pkg:   portalTests, tests: "TestWhatPeopleWroteStaysText|FuzzCell",
	},
	{
		name:  "a key may whatever a key may",
		edits: []edit{{"billing/apikey.go", `	if row.Scopes != "" && !slices.Contains(`, `	if row.Scopes == "none" && !slices.Contains(`}},
		pkg:   apiTests, tests: "TestEveryOperationByEveryKey",
	},
	{
		name:  "a key works from anywhere",
		edits: []edit{{"billing/apikey.go", `	if row.Networks == "" {`, `	if row.Networks != "none" {`}},
		pkg:   apiTests, tests: "TestAKeyStaysInItsNetworks",
	},
	{
		name:  "a key that was replaced goes on",
		edits: []edit{{"billing/apikey.go", "	if row.ExpiresAt != 0 && now >= row.ExpiresAt {", "	if row.ExpiresAt != 0 && now >= row.ExpiresAt && row.ReplacedBy.IsZero() {"}},
		pkg:   apiTests, tests: "TestAKeyIsReplacedWithoutAPause",
	},
	{
		name:  "every address is public",
		edits: []edit{{"billing/hook/guard.go", "	a = a.WithZone(\"\").Unmap()\n	if !a.IsGlobalUnicast() || a.IsPrivate() {\n		return false", "	a = a.WithZone(\"\").Unmap()\n	if a.IsValid() {\n		return true"}},
		pkg:   hookTests, tests: "TestPublicAddresses|TestOnlyPublicAddresses",
	},
	{
		name:  "what a name leads to is not looked at when it is dialled",
		edits: []edit{{"billing/hook/hook.go", "Control: s.control, ", ""}},
		pkg:   hookTests, tests: "TestNothingReachesThisMachine",
	},
	{
		name:  "a seal does not hold the one before it",
		edits: []edit{{"billing/audit_seal.go", "	write(before)\n", ""}},
		pkg:   billingTest, tests: "TestAnEntrySealedAnewIsFound",
	},
	{
		name:  "a picture may be as large as it likes",
		edits: []edit{{"billing/logo.go", "	case w > maxLogoEdge || h > maxLogoEdge || w*h > maxLogoArea:", "	case w < 0:"}},
		pkg:   billingTest, tests: "TestLogosAreMadeAnew",
	},
	{
		name:  "a code of the second step outlives its half minute",
		edits: []edit{{"billing/two_step.go", "	fits, ended := is(now), is(now-1)\n", "	fits, ended := is(now) || is(now-1), false\n"}},
		pkg:   portalTests, tests: "TestACodeLivesThirtySeconds",
	},
	{
		name:  "who is asked for two steps may enter with one",
		edits: []edit{{"handlers/security.go", "	case a.AllInTwoSteps:\n", "	case false && a.AllInTwoSteps:\n"}},
		pkg:   portalTests, tests: "TestEverybodySignsIn",
	},
}
