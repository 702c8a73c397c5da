package billing

import (
	"cmp"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
)

// entry is an entry with the source of its lot.
type entry struct {
	models.Entry
	Source models.Source
}

func (e entry) kind() ledger.Kind { return ledger.Kind(e.Kind) }

// change is what an entry did to the balance. Stock left it when a checkout kept
// it; its line is that of the sale.
func (e entry) change() models.Credits {
	if e.kind() == ledger.SellHeld {
		return -e.Amount
	}
	return models.Credits(e.kind().Change()) * e.Amount
}

// used is what an entry consumed, a draw on excess included.
func (e entry) used() models.Credits {
	if k := e.kind(); k == ledger.ChargeDraw || k == ledger.CaptureDraw || k == ledger.ExcessDraw {
		return e.Amount
	}
	return 0
}

// An act's entries on one wallet lie side by side; most have a handful.
const (
	fewEntries  = 16
	mostEntries = 1000 // as many lots as one act may touch, and settlements
)

func entryRows(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) *gorm.DB {
	return tx.Table("entries e").Select("e.*, COALESCE(l.source, '') AS source").
		Joins("LEFT JOIN lots l ON l.agency_id = e.agency_id AND l.id = e.lot_id").
		Where("e.agency_id = ? AND e.wallet_id = ?", agency, wallet)
}

// entriesFrom reads the first few entries of acts on a wallet, given the seq each
// begins at; on SQLite some of others lie between them.
func entriesFrom(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, starts map[models.ActID]int64) ([]entry, error) {
	var rows []entry
	if tx.Name() == string(models.Postgres) {
		acts, first := make([]string, 0, len(starts)), make([]string, 0, len(starts))
		for act, s := range starts {
			acts, first = append(acts, hex.EncodeToString(act[:])), append(first, strconv.FormatInt(s, 10))
		}
		// Nothing but the key can answer a subquery with a limit. Asked for a set of
		// seqs, PostgreSQL, which takes all wallets for equally busy, walks the
		// whole history of the busiest.
		err := tx.Raw(`SELECT e.*, COALESCE(l.source, '') AS source
			FROM unnest(CAST(string_to_array(?, ',') AS uuid[]), CAST(string_to_array(?, ',') AS bigint[])) AS k (act, first)
			CROSS JOIN LATERAL (SELECT * FROM entries x WHERE x.agency_id = ? AND x.wallet_id = ? AND x.seq >= k.first AND x.seq < k.first + ?
				AND x.act_id = k.act ORDER BY x.seq LIMIT ?) e
			LEFT JOIN lots l ON l.agency_id = e.agency_id AND l.id = e.lot_id`,
			strings.Join(acts, ","), strings.Join(first, ","), agency, wallet, fewEntries, fewEntries).Scan(&rows).Error
		return rows, err
	}
	seqs := make([]int64, 0, len(starts)*fewEntries)
	for _, s := range starts {
		for i := range int64(fewEntries) {
			seqs = append(seqs, s+i)
		}
	}
	slices.Sort(seqs)
	return rows, entryRows(tx, agency, wallet).Where("e.seq IN ?", slices.Compact(seqs)).Scan(&rows).Error
}

// inSeqOrder sorts entries, each of them once. The database is not asked to: it
// might then walk a wallet's whole history in the order of its key.
func inSeqOrder(rows []entry) []entry {
	slices.SortFunc(rows, func(a, b entry) int { return cmp.Compare(a.Seq, b.Seq) }) //nolint:gocritic // the signature is slices'
	return slices.CompactFunc(rows, func(a, b entry) bool { return a.Seq == b.Seq }) //nolint:gocritic // as above
}

// entriesOf reads the entries of acts on one wallet, given the seq each begins
// at; an act whose seq is 0 has none.
func entriesOf(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, starts map[models.ActID]int64) (map[models.ActID][]entry, error) {
	out := map[models.ActID][]entry{}
	begin := make(map[models.ActID]int64, len(starts))
	for act, s := range starts {
		if s > 0 {
			begin[act] = s
		}
	}
	if len(begin) == 0 {
		return out, nil
	}
	rows, err := entriesFrom(tx, agency, wallet, begin)
	if err != nil {
		return nil, err
	}
	for _, e := range inSeqOrder(rows) {
		if s := starts[e.ActID]; s > 0 && e.Seq >= s {
			out[e.ActID] = append(out[e.ActID], e)
		}
	}
	for act, found := range out {
		if len(found) < fewEntries {
			continue
		}
		from := starts[act] + fewEntries
		var more []entry
		if err := entryRows(tx, agency, wallet).Where("e.seq >= ? AND e.seq < ? AND e.act_id = ?", from, from+2*mostEntries, act).Scan(&more).Error; err != nil {
			return nil, err
		}
		more = inSeqOrder(more)
		// A neighbour's few may have held some of them already.
		out[act] = append(slices.DeleteFunc(found, func(e entry) bool { return e.Seq >= from }), more...)
	}
	return out, nil
}

// seqOn is where a charge's entries begin on a wallet; 0 when it has none there.
func seqOn(c *models.Charge, wallet models.WalletID) int64 {
	switch wallet {
	case c.WalletID:
		return c.Seq
	case c.PoolWalletID:
		return c.PoolSeq
	}
	return 0
}

// paidBy is what one wallet paid of a charge.
func paidBy(tx *gorm.DB, c *models.Charge, wallet models.WalletID) (models.Credits, error) {
	seq := seqOn(c, wallet)
	if seq == 0 {
		return 0, nil
	}
	if c.Seq == 0 || c.PoolSeq == 0 {
		return c.Credits, nil
	}
	act := models.ActID(c.ID)
	found, err := entriesOf(tx, c.AgencyID, wallet, map[models.ActID]int64{act: seq})
	if err != nil {
		return 0, err
	}
	var sum models.Credits
	for _, e := range found[act] {
		sum += e.used()
	}
	return sum, nil
}

// actKinds are the acts that can have lines of a kind; nil: any may.
func actKinds(k LineKind) []string {
	switch k {
	case LinePlanAdded:
		return []string{"plan"}
	case LinePlanExpired, LineExpired:
		return []string{"expire"}
	case LinePurchase:
		return []string{"purchase", "sell"}
	case LineSold:
		return []string{"sell"}
	case LineAssigned:
		return []string{"assign"}
	case LineReturned:
		return []string{"return"}
	case LineReversed:
		return []string{"reverse"}
	case LineRefund:
		return []string{"refund"}
	case LineDisputed:
		return []string{"dispute"}
	case LineBonus, LineAdjustment, LineSettled, LineUsed, LineHeld, LineReleased:
	}
	return nil
}

// acts reads the lines of acts on the account's wallet, from both sides.
func (r *historyReader) acts() ([]HistoryLine, error) {
	own, err := r.actsBy("wallet_id", "seq")
	if err != nil {
		return nil, err
	}
	other, err := r.actsBy("other_wallet_id", "other_seq")
	return append(own, other...), err
}

func (r *historyReader) actsBy(wallet, seq string) ([]HistoryLine, error) {
	a := r.q.Account
	otherSide := map[string]string{"wallet_id": "other_wallet_id", "other_wallet_id": "wallet_id"}[wallet]
	upper := r.q.To
	if r.upto.At < upper {
		upper = r.upto.At + 1
	}
	var out []HistoryLine
	var last *models.Act
	for len(out) <= r.q.Limit {
		tx := r.tx.Where("agency_id = ? AND "+wallet+" = ? AND created_at >= ? AND created_at < ? AND kind <> 'policy'", a.Agency.ID, a.Wallet, r.q.From, upper)
		if kinds := actKinds(r.q.Kind); kinds != nil {
			tx = tx.Where("kind IN ?", kinds)
		}
		if !r.q.Wallet.IsZero() && r.q.Wallet != a.Wallet {
			tx = tx.Where(otherSide+" = ?", r.q.Wallet)
		}
		if last != nil {
			at := last.Seq
			if wallet == "other_wallet_id" {
				at = last.OtherSeq
			}
			tx = tx.Where("(created_at, "+seq+", id) < (?, ?, ?)", last.CreatedAt, at, last.ID)
		}
		var acts []models.Act
		if err := tx.Order("created_at DESC, " + seq + " DESC, id DESC").Limit(r.q.Limit + 1).Find(&acts).Error; err != nil {
			return nil, err
		}
		lines, err := actLines(r.tx, a, a.Wallet, acts)
		if err != nil {
			return nil, err
		}
		out = append(out, r.below(lines)...)
		if len(acts) <= r.q.Limit {
			break
		}
		last = &acts[len(acts)-1]
	}
	return out, nil
}

// actLines are the lines of acts as one wallet sees them.
func actLines(tx *gorm.DB, a *Account, wallet models.WalletID, acts []models.Act) ([]HistoryLine, error) {
	starts := map[models.ActID]int64{}
	for i := range acts {
		starts[acts[i].ID] = actSeq(&acts[i], wallet)
	}
	entries, err := entriesOf(tx, a.Agency.ID, wallet, starts)
	if err != nil {
		return nil, err
	}
	var out []HistoryLine
	for i := range acts {
		out = append(out, linesOfAct(a, wallet, &acts[i], entries[acts[i].ID])...)
	}
	return out, nil
}

func actSeq(act *models.Act, wallet models.WalletID) int64 {
	if act.WalletID == wallet {
		return act.Seq
	}
	return act.OtherSeq
}

// linesOfAct is one line, and one more for excess that it paid off.
func linesOfAct(a *Account, wallet models.WalletID, act *models.Act, entries []entry) []HistoryLine {
	l := HistoryLine{
		Kind: kindOfAct(act, entries), ID: act.ID.String(), At: act.CreatedAt, Note: act.Note, Reference: act.Reference,
		Credits: max(act.Credits, -act.Credits),
		pos:     position{At: act.CreatedAt, Rank: rankAct, Seq: actSeq(act, wallet), ID: act.ID.String()},
	}
	if act.IdempotencyKey != nil {
		l.Reference = *act.IdempotencyKey
	}
	if id, err := models.ParseID[models.PurchaseID](act.Reference); err == nil {
		l.Purchase = id
	}
	if !act.OtherWalletID.IsZero() {
		l.Wallet = act.OtherWalletID
		if wallet == act.OtherWalletID {
			l.Wallet = act.WalletID
		}
	}
	var settled models.Credits
	for _, e := range entries {
		if e.kind() == ledger.Settle {
			settled += e.Amount
		}
		l.Change += e.change()
		l.After, l.HasAfter = e.Balance, true
	}
	if l.Kind == LineReversed && a.SubAccount != nil && len(entries) == 0 {
		l.Pool = l.Credits
	}
	if settled == 0 || l.Kind == LineSettled {
		l.Credits = max(l.Credits, settled)
		return []HistoryLine{l}
	}
	off := l
	off.Kind, off.Change, off.Credits = LineSettled, 0, settled
	off.pos.Seq = entries[len(entries)-1].Seq // above the line it belongs to
	return []HistoryLine{l, off}
}

func kindOfAct(act *models.Act, entries []entry) LineKind {
	var source models.Source
	var first ledger.Kind
	if len(entries) > 0 {
		source, first = entries[0].Source, entries[0].kind()
	}
	switch act.Kind {
	case "plan":
		return LinePlanAdded
	case "purchase":
		return LinePurchase
	case "assign":
		return LineAssigned
	case "sell":
		if first == ledger.SellOut || first == ledger.SellHeld {
			return LineSold
		}
		return LinePurchase
	case "return":
		return LineReturned
	case "refund", "dispute":
		switch _, err := models.ParseID[models.LotID](act.Reference); {
		case err == nil && source != models.SourcePlan: // a reward for a payment that did not stand
			return LineBonus
		case act.Kind == "refund":
			return LineRefund
		}
		return LineDisputed
	case "reverse":
		return LineReversed
	case "settle":
		return LineSettled
	case "expire":
		if source == models.SourcePlan {
			return LinePlanExpired
		}
		return LineExpired
	}
	switch {
	case first == ledger.Clawback:
		return LineRefund
	case first == ledger.Grant && source.Bucket() == models.BucketBonus:
		return LineBonus
	case first == ledger.Grant && source == models.SourcePurchase:
		return LinePurchase
	case first == ledger.Grant && source == models.SourcePlan:
		return LinePlanAdded
	}
	return LineAdjustment
}

// holds reads the lines of holds that did not become a charge: when credits were
// set aside, and when they came back.
func (r *historyReader) holds() ([]HistoryLine, error) {
	a := r.q.Account
	var out []HistoryLine
	read := func(column, states string, kind LineKind, line func(*models.Hold) (HistoryLine, error)) error {
		tx := r.tx.Where("agency_id = ? AND wallet_id = ? AND "+states+" AND "+column+" >= ? AND "+column+" < ?", a.Agency.ID, a.Wallet, r.q.From, r.q.To)
		own := holdPosition(r.upto.At, kind, "")
		switch id, err := models.ParseID[models.HoldID](r.upto.ID); {
		case r.upto.Rank == own.Rank && r.upto.Seq == own.Seq && err == nil:
			tx = tx.Where("("+column+", id) < (?, ?)", r.upto.At, id)
		case r.upto.Rank == own.Rank && r.upto.Seq > own.Seq:
			tx = tx.Where(column+" <= ?", r.upto.At)
		default:
			tx = tx.Where(column+" < ?", r.upto.At)
		}
		var rows []models.Hold
		if err := tx.Order(column + " DESC, id DESC").Limit(r.q.Limit + 1).Find(&rows).Error; err != nil {
			return err
		}
		for i := range rows {
			l, err := line(&rows[i])
			if err != nil {
				return err
			}
			out = append(out, l)
		}
		return nil
	}
	seq, err := newestSeq(r.tx, a.Agency.ID, a.Wallet)
	if err != nil {
		return nil, err
	}
	if r.wants(LineHeld) {
		if err := read("created_at", "state <> 'captured'", LineHeld, func(h *models.Hold) (HistoryLine, error) {
			return holdLine(r.tx, a.Wallet, seq, h, LineHeld)
		}); err != nil {
			return nil, err
		}
	}
	if r.wants(LineReleased) {
		if err := read("ended_at", "state IN ('released', 'expired')", LineReleased, func(h *models.Hold) (HistoryLine, error) {
			return holdLine(r.tx, a.Wallet, seq, h, LineReleased)
		}); err != nil {
			return nil, err
		}
	}
	return r.below(out), nil
}

// holdLine is a hold's beginning (LineHeld) or end (LineReleased).
func holdLine(tx *gorm.DB, wallet models.WalletID, newest int64, h *models.Hold, kind LineKind) (HistoryLine, error) {
	l := HistoryLine{
		Kind: kind, ID: h.ID.String(), At: h.CreatedAt, Action: h.Action, Model: h.Model, Credits: h.Credits, Reference: h.IdempotencyKey,
	}
	if kind == LineReleased {
		l.At = h.EndedAt
	}
	l.pos = holdPosition(l.At, kind, l.ID)
	entries, err := entriesAt(tx, h.AgencyID, wallet, newest, l.At, models.ActID(h.ID))
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		if begins := e.kind() == ledger.HoldDraw || e.kind() == ledger.StockDraw; begins == (kind == LineHeld) {
			l.Change += e.change()
			l.After, l.HasAfter = e.Balance, true
		}
	}
	return l, nil
}

// holdPosition is where a hold's line stands: its end above its beginning,
// should both be at one instant.
func holdPosition(at models.Time, kind LineKind, id string) position {
	p := position{At: at, Rank: rankHold, ID: id}
	if kind == LineReleased {
		p.Seq = 1
	}
	return p
}

func newestSeq(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (int64, error) {
	var w models.Wallet
	err := tx.Select("seq").Where("agency_id = ? AND id = ?", agency, wallet).Take(&w).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, nil
	}
	return w.Seq, err
}

// entriesAt finds an act's entries on a wallet by their instant: entries are in
// order of time, so two bisections over seq find the place without an index.
func entriesAt(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, newest int64, at models.Time, act models.ActID) ([]entry, error) {
	from, err := firstSeq(tx, agency, wallet, newest, at)
	if err != nil {
		return nil, err
	}
	to, err := firstSeq(tx, agency, wallet, newest, at+1)
	if err != nil || from == to {
		return nil, err
	}
	var out []entry
	err = entryRows(tx, agency, wallet).Where("e.seq >= ? AND e.seq < ? AND e.act_id = ?", from, to, act).Scan(&out).Error
	return inSeqOrder(out), err
}

// firstSeq is the seq of the wallet's first entry at or after an instant, one
// beyond the newest when there is none.
func firstSeq(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, newest int64, at models.Time) (int64, error) {
	low, high := int64(1), newest+1
	for low < high {
		mid := low + (high-low)/2
		var t []models.Time
		if err := tx.Model(&models.Entry{}).Where("agency_id = ? AND wallet_id = ? AND seq = ?", agency, wallet, mid).Limit(1).Pluck("at", &t).Error; err != nil {
			return 0, err
		}
		if len(t) > 0 && t[0] >= at {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, nil
}

// search finds single lines by an id, an idempotency key, or part of a note.
func (r *historyReader) search() ([]HistoryLine, error) {
	a, text := r.q.Account, strings.TrimSpace(r.q.Text)
	var out []HistoryLine
	charges, err := r.findCharges(text)
	if err != nil {
		return nil, err
	}
	out = append(out, charges...)
	if id, err := models.ParseID[models.HoldID](text); err == nil || text != "" {
		var rows []models.Hold
		tx := r.tx.Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet)
		if err == nil {
			tx = tx.Where("id = ?", id)
		} else {
			tx = tx.Where("idempotency_key = ?", text)
		}
		if err := tx.Limit(1).Find(&rows).Error; err != nil {
			return nil, err
		}
		seq, err := newestSeq(r.tx, a.Agency.ID, a.Wallet)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			l, err := holdLine(r.tx, a.Wallet, seq, &rows[i], LineHeld)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		}
	}
	var acts []models.Act
	tx := r.tx.Where("agency_id = ? AND kind <> 'policy' AND created_at >= ? AND created_at < ?", a.Agency.ID, r.q.From, r.q.To).
		Where(r.tx.Where("wallet_id = ?", a.Wallet).Or("other_wallet_id = ?", a.Wallet))
	if id, err := models.ParseID[models.ActID](text); err == nil {
		tx = tx.Where("id = ?", id)
	} else {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text)) + "%"
		tx = tx.Where(`(idempotency_key = ? OR reference = ? OR LOWER(note) LIKE ? ESCAPE '\')`, text, text, like)
	}
	if r.upto.At != models.Never {
		tx = tx.Where("created_at <= ?", r.upto.At)
	}
	if err := tx.Order("created_at DESC, id DESC").Limit(r.q.Limit + 1 + fewEntries).Find(&acts).Error; err != nil {
		return nil, err
	}
	lines, err := actLines(r.tx, a, a.Wallet, acts)
	if err != nil {
		return nil, err
	}
	return r.below(append(out, lines...)), nil
}

// findCharges finds a charge that the account sees by id or key.
func (r *historyReader) findCharges(text string) ([]HistoryLine, error) {
	a := r.q.Account
	tx := r.tx.Where("agency_id = ?", a.Agency.ID)
	if id, err := models.ParseID[models.ChargeID](text); err == nil {
		tx = tx.Where("id = ?", id)
	} else {
		tx = tx.Where("idempotency_key = ?", text)
	}
	var charges []models.Charge
	if err := tx.Limit(1).Find(&charges).Error; err != nil {
		return nil, err
	}
	charges = slices.DeleteFunc(charges, func(c models.Charge) bool {
		return perspective(a, &c).IsZero() || c.CreatedAt < r.q.From || c.CreatedAt >= r.q.To || r.q.Model != "" && c.Model != r.q.Model
	})
	if len(charges) == 0 {
		return nil, nil
	}
	return chargeLines(r.tx, a, perspective(a, &charges[0]), charges)
}

// perspective is the wallet whose balance an account sees a charge move: its own
// where that paid, for an agency else its client's; zero when the charge is not
// the account's to see.
func perspective(a *Account, c *models.Charge) models.WalletID {
	switch {
	case c.AgencyID != a.Agency.ID:
		return models.WalletID{}
	case c.WalletID == a.Wallet:
		return a.Wallet
	case a.SubAccount != nil:
		return models.WalletID{}
	case c.PoolWalletID == a.Wallet:
		return a.Wallet
	}
	return c.WalletID
}

// chargeLines are single charges as one wallet sees them, in the order given.
func chargeLines(tx *gorm.DB, a *Account, wallet models.WalletID, charges []models.Charge) ([]HistoryLine, error) {
	starts := map[models.ActID]int64{}
	for i := range charges {
		starts[models.ActID(charges[i].ID)] = seqOn(&charges[i], wallet)
	}
	entries, err := entriesOf(tx, a.Agency.ID, wallet, starts)
	if err != nil {
		return nil, err
	}
	out := make([]HistoryLine, 0, len(charges))
	for i := range charges {
		c := &charges[i]
		l := HistoryLine{
			Kind: LineUsed, ID: c.ID.String(), At: c.CreatedAt, Count: 1, Action: c.Action, Model: c.Model,
			Test: c.Test, Would: c.WouldCost, Reference: c.IdempotencyKey,
			pos: position{At: c.CreatedAt, Rank: rankAct, Seq: seqOn(c, wallet), ID: c.ID.String()},
		}
		if c.WalletID != a.Wallet {
			l.Wallet = c.WalletID
		}
		for _, e := range entries[models.ActID(c.ID)] {
			if e.used() > 0 {
				l.Change -= e.Amount
				l.After, l.HasAfter = e.Balance, true
			}
		}
		l.Credits = -l.Change
		if wallet == c.WalletID {
			l.Credits, l.Pool = c.Credits, c.Credits+l.Change
		}
		out = append(out, l)
	}
	return out, nil
}
