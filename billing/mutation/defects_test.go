package mutation

// defect is one deliberate fault and the tests that must notice it.
type defect struct {
	name  string
	edits []edit
	pkg   string // whose tests
	tests string // which: beginnings of their names
	env   string // what sizes them; "": as in make test
}

type edit struct{ file, from, to string }

const (
	ledgerTests = "./billing/ledger"
	billingTest = "./billing"
)

// defects of the ledger and of payments stand in the order of RELIABILITY.md's list.
var defects = []defect{
	{
		name:  "a wallet is written whatever it has become",
		edits: []edit{{"billing/ledger/tables.go", `	t.wallets.guardBy("version")` + "\n", ""}},
		pkg:   ledgerTests, tests: "TestWhatIsRememberedIsNever|TestTwoProcessesThatRemember",
	},
	{
		name: "wallets are read without a lock",
		edits: []edit{{
			"billing/ledger/tables.go", `	t.lock.pg += " ORDER BY t.agency_id, t.id FOR NO KEY UPDATE OF t"
	t.skip.pg = t.lock.pg + " SKIP LOCKED"`, `	t.lock.pg += " ORDER BY t.agency_id, t.id"
	t.skip.pg = t.lock.pg`,
		}},
		pkg: ledgerTests, tests: "TestChargesQueuedBehindALock|TestABusyWallet|TestWaitingIsSeen",
	},
	{
		name: "a purchase may be granted twice",
		edits: []edit{
			{"models/migrations/sqlite/00001_schema.sql", "CREATE UNIQUE INDEX lots_one_grant", "CREATE INDEX lots_one_grant"},
			{"models/migrations/postgres/00001_schema.sql", "CREATE UNIQUE INDEX lots_one_grant", "CREATE INDEX lots_one_grant"},
		},
		pkg: ledgerTests, tests: "TestAPurchaseIsGrantedOnce",
	},
	{
		name: "a payment is credited once an event, not once",
		edits: []edit{
			{"models/migrations/sqlite/00001_schema.sql", "CREATE UNIQUE INDEX lots_one_grant", "CREATE INDEX lots_one_grant"},
			{"models/migrations/postgres/00001_schema.sql", "CREATE UNIQUE INDEX lots_one_grant", "CREATE INDEX lots_one_grant"},
			{"billing/settle.go", "	if err != nil || !whole && progress(p.Status) >= progress(models.PurchaseReview) {", "	if err != nil {"},
			{"billing/purchase.go", "		if out.CreditedAt == 0 {\n			if err := s.bookPayment", "		if out.CreditedAt >= 0 {\n			if err := s.bookPayment"},
		},
		pkg: billingTest, tests: "TestAPaidPurchaseIsCreditedOnce|TestEveryEventDelivered",
	},
	{
		name: "an event of a purchase that is not there yet is done",
		edits: []edit{{
			"billing/inbox.go", `	return errors.New("no purchase of ours is known by this event's object")`, "	return nil",
		}},
		pkg: billingTest, tests: "TestADeadEventIsReplayed",
	},
	{
		name: "an event is done before its purchase is settled",
		edits: []edit{{
			"billing/inbox.go", "		e.Note = err.Error()\n		e.NextAt =", "		e.State, e.Note = models.EventProcessed, err.Error()\n		e.NextAt =",
		}},
		pkg: billingTest, tests: "TestADeadEventIsReplayed",
	},
	{
		name: "an answer is given whatever became of the commit",
		edits: []edit{{
			"billing/ledger/charger.go", "		return tx.commit(ctx, a.book.writes(l.db.Dialect))", "		_ = tx.commit(ctx, a.book.writes(l.db.Dialect))\n		return nil",
		}},
		pkg: ledgerTests, tests: "TestWhatIsRememberedIsNever|TestABadCommandNever|TestADeadDatabase",
	},
	{
		name:  "what is taken back is added to what was taken",
		edits: []edit{{"billing/ledger/revoke.go", "want.Taken = max(min(v.r.Revoked, left), v.gone())", "want.Taken = max(min(v.is.Taken+v.r.Revoked, left), v.gone())"}},
		pkg:   billingTest, tests: "TestCase1|TestCase4|TestEventsTakeCreditsBack",
	},
	{
		name:  "the 31st of a short month is the 3rd of the next",
		edits: []edit{{"billing/period/period.go", "dayOf(year, month, min(dom, daysIn(year, month)))", "dayOf(year, month, min(dom, 31))"}},
		pkg:   "./billing/period", tests: "TestAtKnownAnswers",
	},
	{
		name: "a period is counted from the one before it",
		edits: []edit{{
			"billing/period/period.go", "	for end = At(anchor, loc, every, n+1); end <= t; end = At(anchor, loc, every, n+1) {", "	for end = At(start, loc, every, 1); end <= t; end = At(start, loc, every, 1) {",
		}},
		pkg: "./billing/period", tests: "TestContainingKnownAnswers",
	},
	{
		name:  "a lot can be spent at the instant it expires",
		edits: []edit{{"billing/ledger/book.go", "l.EffectiveAt <= at && l.ExpiresAt > at", "l.EffectiveAt <= at && l.ExpiresAt >= at"}},
		pkg:   ledgerTests, tests: "TestExpiryToTheMicrosecond",
	},
	{
		name:  "a failed top-up leaves no claim",
		edits: []edit{{"billing/top_up_run.go", `"paused_at": 0, "attempted_at": now,`, `"paused_at": 0, "attempted_at": t.AttemptedAt,`}},
		pkg:   billingTest, tests: "TestADecliningCardForThirtyDays|TestADeclinedCardRests|TestTopUpBuysAtOnce",
	},
	{
		name:  "an overtaken answer about a card is written",
		edits: []edit{{"billing/saved_card.go", "t.CardLooks != look || ", ""}},
		pkg:   billingTest, tests: "TestAnOldAnswerAboutACardIsNotWritten",
	},
	{
		name:  "what a month lacks is bought by whoever sees it",
		edits: []edit{{"billing/top_up_run.go", "		key = fmt.Sprintf(\"cover:%x\", ", "		key = fmt.Sprintf(\"\") + fmt.Sprintf(\"%.0s\", "}},
		pkg:   billingTest, tests: "TestAMonthWithoutStockIsCoveredOnce",
	},
	{
		name:  "a key is answered whatever is asked with it",
		edits: []edit{{"billing/ledger/charge.go", "if !bytes.Equal(c.Fingerprint, fingerprint) {", "if false && !bytes.Equal(c.Fingerprint, fingerprint) {"}},
		pkg:   ledgerTests, tests: "TestWhatIsRememberedIsNever|TestOneKeyManyTimes",
	},
	{
		name:  "an event of any account settles a purchase",
		edits: []edit{{"billing/inbox.go", "		if p.Account != e.Account {", "		if false && p.Account != e.Account {"}},
		pkg:   billingTest, tests: "TestForeignEventsSettleNothing|TestASaleIsPaidToItsOwnAccountOnly",
	},
	{
		name:  "a session's own word for what it pays is taken",
		edits: []edit{{"billing/purchase.go", "	case session.Reference != p.ID.String():", "	case session.Reference == \"nobody's\":"}},
		pkg:   billingTest, tests: "TestAPaymentThatDoesNotMatch|TestCase7",
	},
	{
		name:  "any amount pays a purchase",
		edits: []edit{{"billing/purchase.go", "	case session.AmountSubtotal != p.Total():", "	case session.AmountSubtotal.Amount < 0:"}},
		pkg:   billingTest, tests: "TestAPaymentThatDoesNotMatch|TestCase7",
	},
	{
		name:  "a test payment makes live credits",
		edits: []edit{{"billing/purchase.go", "	case session.Live != p.Live:", "	case session.Live && !session.Live:"}},
		pkg:   billingTest, tests: "TestCase9|TestAPaymentThatDoesNotMatch",
	},
	{
		name:  "a server that may forget is taken",
		edits: []edit{{"models/db.go", `[]string{"fsync", "synchronous_commit", "full_page_writes"}`, `[]string{"fsync", "full_page_writes"}`}},
		pkg:   "./models", tests: "TestAServerThatMayForget",
	},
	{
		name:  "SQLite locks late",
		edits: []edit{{"models/db.go", `sqliteDSN(o.SQLitePath, "immediate", common)`, `sqliteDSN(o.SQLitePath, "deferred", common)`}},
		pkg:   "./models", tests: "TestTwoProcessesOnOneFile",
	},
	{
		name:  "credits are given before the money is there",
		edits: []edit{{"billing/purchase.go", "if session.Paid() && session.Status == checkout.StatusComplete {", "if session.Status == checkout.StatusComplete {"}},
		pkg:   billingTest, tests: "TestWaysNotToBeCredited|TestPaymentsThatClear|TestASalePaidLater",
	},
	{
		name:  "what is held can be spent",
		edits: []edit{{"billing/ledger/kind.go", `{"hold", "available", "held", -1, 1, 0}`, `{"hold", "available", "held", 0, 1, 0}`}},
		pkg:   ledgerTests, tests: "TestCaptureBelowAtAndAbove|TestAHoldEndsOnce",
	},
	{
		name: "lots are drawn by age alone",
		edits: []edit{{
			"billing/ledger/book.go", "		cmp.Compare(a.Priority, b.Priority),\n		cmp.Compare(a.ExpiresAt, b.ExpiresAt),\n		cmp.Compare(a.UnitCost, b.UnitCost),\n", "",
		}},
		pkg: ledgerTests, tests: "TestChargeDrawsInOrder",
	},
	{
		name: "what is assigned is written in several transactions",
		edits: []edit{{
			"billing/ledger/grant.go", "	return c.run.run(ctx, c.writes(c.d))\n", `	for _, s := range c.writes(c.d) {
		if err := c.run.run(ctx, []statement{s}); err != nil {
			return err
		}
		for _, between := range []string{"COMMIT", "BEGIN"} {
			if _, err := c.run.tx.ExecContext(ctx, between); err != nil {
				return err
			}
		}
	}
	return nil
`,
		}},
		pkg: "./handlers/crash", tests: "TestKilledBetweenAnyTwoStatements", env: "KILLS=1",
	},
	{
		name:  "credits arrive that never left",
		edits: []edit{{"billing/ledger/grant.go", "	c.move(from, parent, out, d.Credits, act, at)\n", ""}},
		pkg:   ledgerTests, tests: "TestAssignedLotsInherit|TestAFamilysCredits",
	},
	{
		name:  "what goes back of a sale cost the average of it",
		edits: []edit{{"billing/settle.go", "	p.CostBack = done.CostBack\n", "	p.CostBack = p.Cost * int64(done.Taken) / int64(p.Credits)\n"}},
		pkg:   billingTest, tests: "TestARefundGivesBackTheCost|TestTheSalesPageIsTheSum",
	},
	{
		name: "keys are forgotten after a week",
		edits: []edit{{
			"billing/ledger/tables.go", `newSearch(byKey, t.charges.all.names("t."), "charges", "")`,
			`newSearch(byKey, t.charges.all.names("t."), "charges", " AND t.created_at > (SELECT MAX(x.created_at) - 604800000000 FROM charges x)")`,
		}},
		pkg: ledgerTests, tests: "TestAKeyIsKnownAfterFourHundredDays",
	},
	{
		name: "shares are rounded through a float",
		edits: []edit{{
			"models/credits.go", "	q, _ := bits.Div64(hi, lo, uint64(c))\n	if q > math.MaxInt64 {", "	q := uint64(float64(a)*float64(b)/float64(c) + 0.5)\n	_ = lo\n	if q > math.MaxInt64 {",
		}},
		pkg: "./models", tests: "TestPartsAddUp|TestMulDivIsExact",
	},
	{
		name: "a line is told again each time it is seen",
		edits: []edit{
			{"models/migrations/sqlite/00017_notices.sql", "    UNIQUE (agency_id, wallet_id, event, occasion)", "    CHECK (length(occasion) > 0)"},
			{"models/migrations/postgres/00017_notices.sql", "    UNIQUE (agency_id, wallet_id, event, occasion)", "    CHECK (length(occasion) > 0)"},
		},
		pkg: billingTest, tests: "TestThresholdsAreToldOncePerPeriod|TestManyChargesCrossAThresholdOnce|TestDaysLeft|TestAnOccasionIsWrittenOnce",
	},
	{
		name:  "who remembers a wallet is not told that it was suspended",
		edits: []edit{{"billing/ledger/grant.go", `	columns["version"] = gorm.Expr("version + 1")` + "\n", ""}},
		pkg:   ledgerTests, tests: "TestWhatIsRememberedIsNever",
	},
	{
		name:  "a suspended wallet is charged",
		edits: []edit{{"billing/ledger/charge.go", "	if !a.InService() {\n		return nil, paused(&a.Wallet)", "	if false && !a.InService() {\n		return nil, paused(&a.Wallet)"}},
		pkg:   ledgerTests, tests: "TestWhatIsRememberedIsNever",
	},
	{
		name:  "a refusal comes before the key is looked up",
		edits: []edit{{"billing/ledger/charger.go", "case c.err != nil && a.trusting:", "case c.err != nil && a.trusting && b.accounts[own] != nil && b.accounts[own].known:"}},
		pkg:   ledgerTests, tests: "TestAFreshProcessAnswers",
	},
	{
		name:  "a signature from the future is taken",
		edits: []edit{{"billing/checkout/event.go", "age > signatureWindow || age < -signatureWindow", "age > signatureWindow"}},
		pkg:   "./billing/checkout", tests: "TestSignatures|TestForgedDeliveries",
	},
	{
		name:  "an empty secret signs",
		edits: []edit{{"billing/checkout/gateway.go", "		if strings.TrimSpace(s) == \"\" {", "		if strings.TrimSpace(s) == \"none\" {"}},
		pkg:   "./billing/checkout", tests: "TestConfigIsRefused",
	},
	{
		name:  "the audit does not ask what others saw and were told",
		edits: []edit{{"billing/ledger/audit.go", "findings(), resale(), doings(), told())", "findings(), resale(), doings())"}},
		pkg:   ledgerTests, tests: "TestAuditSeesEachCorruption",
	},
	{
		name:  "the audit does not look at what guards the rows",
		edits: []edit{{"billing/ledger/audit.go", "	return a.schema()\n", "	return nil\n"}},
		pkg:   ledgerTests, tests: "TestAuditSeesEachCorruption",
	},
	{
		name:  "a command that falls over ends the process",
		edits: []edit{{"billing/problem/problem.go", "		if fell := recover(); fell != nil {", "		if fell := any(nil); fell != nil {"}},
		pkg:   ledgerTests, tests: "TestACommandThatFallsOver",
	},
	{
		name: "a purchase over which the clock falls over holds up those behind it",
		edits: []edit{{"billing/inbox.go", `		err := problem.Contain(func() error {
			_, err := s.settle(ctx, p.AgencyID, p.ID, p.CreditedAt > 0)
			return err
		})
`, "		_, err := s.settle(ctx, p.AgencyID, p.ID, p.CreditedAt > 0)\n"}},
		pkg: billingTest, tests: "TestWorkThatFallsOver",
	},
	{
		name: "an automatic payment is asked for anew by whoever comes next",
		edits: []edit{
			{"billing/top_up_run.go", "	if number > 1 {\n", "	if number > 1_000 {\n"},
			{"billing/top_up_run.go", "Reference: p.ID.String(), IdempotencyKey: p.IdempotencyKey,", "Reference: p.ID.String(), IdempotencyKey: fmt.Sprint(p.IdempotencyKey, number),"},
		},
		pkg: "./handlers/crash", tests: "TestKilledAroundAnAutomaticPayment", env: "KILLS=160",
	},
	{
		name:  "a commit that was not heard of is taken for done",
		edits: []edit{{"billing/ledger/charger.go", "		case isConflict(err) && trusting:\n", "		case !trusting && !isConflict(err) && !mayBeOneCommand(err):\n			finish(commands)\n			return\n		case isConflict(err) && trusting:\n"}},
		pkg:   "./handlers/crash", tests: "TestABadLine",
	},
}
