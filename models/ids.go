package models

import (
	"bytes"
	"database/sql/driver"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// idKind names the noun an ID belongs to and gives its public prefix.
type idKind interface{ prefix() string }

// ID is a UUIDv7 that knows which noun it names, so that a wallet's id cannot
// be passed where a lot's is wanted. The zero ID means "none" and is stored as
// NULL. Its text form is the kind's prefix, an underscore and 26 characters of
// lower-case base32hex, which sort by time of creation.
type ID[K idKind] [16]byte

type (
	agencyKind       struct{}
	subAccountKind   struct{}
	userKind         struct{}
	walletKind       struct{}
	lotKind          struct{}
	actKind          struct{}
	chargeKind       struct{}
	holdKind         struct{}
	reversalKind     struct{}
	planKind         struct{}
	packKind         struct{}
	rateCardKind     struct{}
	subscriptionKind struct{}
	purchaseKind     struct{}
	apiKeyKind       struct{}
	auditKind        struct{}
	packageKind      struct{}
	invitationKind   struct{}
	adjustmentKind   struct{}
	planOrderKind    struct{}
	refundKind       struct{}
	noticeKind       struct{}
	webhookKind      struct{}
	webhookEventKind struct{}
	giftKind         struct{}
	packageSubKind   struct{}
)

func (agencyKind) prefix() string       { return "agy" }
func (subAccountKind) prefix() string   { return "sub" }
func (userKind) prefix() string         { return "usr" }
func (walletKind) prefix() string       { return "wal" }
func (lotKind) prefix() string          { return "lot" }
func (actKind) prefix() string          { return "act" }
func (chargeKind) prefix() string       { return "chg" }
func (holdKind) prefix() string         { return "hld" }
func (reversalKind) prefix() string     { return "rev" }
func (planKind) prefix() string         { return "pln" }
func (packKind) prefix() string         { return "pck" }
func (rateCardKind) prefix() string     { return "crd" }
func (subscriptionKind) prefix() string { return "sbs" }
func (purchaseKind) prefix() string     { return "pur" }
func (apiKeyKind) prefix() string       { return "key" }
func (auditKind) prefix() string        { return "aud" }
func (packageKind) prefix() string      { return "pkg" }
func (invitationKind) prefix() string   { return "inv" }
func (adjustmentKind) prefix() string   { return "adj" }
func (planOrderKind) prefix() string    { return "por" }
func (refundKind) prefix() string       { return "rfd" }
func (noticeKind) prefix() string       { return "ntc" }
func (webhookKind) prefix() string      { return "whk" }
func (webhookEventKind) prefix() string { return "evt" }
func (giftKind) prefix() string         { return "gft" }
func (packageSubKind) prefix() string   { return "psb" }

// One id type per noun.
type (
	AgencyID          = ID[agencyKind]
	SubAccountID      = ID[subAccountKind]
	UserID            = ID[userKind]
	WalletID          = ID[walletKind]
	LotID             = ID[lotKind]
	ActID             = ID[actKind]
	ChargeID          = ID[chargeKind]
	HoldID            = ID[holdKind]
	ReversalID        = ID[reversalKind]
	PlanID            = ID[planKind]
	PackID            = ID[packKind]
	RateCardID        = ID[rateCardKind]
	SubscriptionID    = ID[subscriptionKind]
	PurchaseID        = ID[purchaseKind]
	APIKeyID          = ID[apiKeyKind]
	AuditID           = ID[auditKind]
	PackageID         = ID[packageKind]
	InvitationID      = ID[invitationKind]
	AdjustmentID      = ID[adjustmentKind]
	PlanOrderID       = ID[planOrderKind]
	RefundID          = ID[refundKind]
	NoticeID          = ID[noticeKind]
	WebhookEndpointID = ID[webhookKind]
	WebhookEventID    = ID[webhookEventKind]
	GiftID            = ID[giftKind]
	PackageSubID      = ID[packageSubKind]
)

// idText is lower-case base32hex without padding: it keeps byte order.
//
//nolint:gochecknoglobals // an immutable codec
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewID makes an id, NewID[ChargeID](at), whose leading 48 bits are at in
// milliseconds, so that ids made in domain time sort and cluster by it.
func NewID[T ~[16]byte](at Time) T {
	id := T(uuid.Must(uuid.NewRandom()))
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, int64(at)/1000)))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	return id
}

// ParseID reads the text form, ParseID[ChargeID]("chg_…"), and checks the prefix.
func ParseID[T any, P interface {
	*T
	parse(s string) error
}](s string) (T, error) {
	var id T
	err := P(&id).parse(s)
	return id, err
}

func (id *ID[K]) parse(s string) error {
	var k K
	body, ok := strings.CutPrefix(s, k.prefix()+"_")
	if !ok {
		return fmt.Errorf("%q is not an id that starts with %s_", s, k.prefix())
	}
	raw, err := idText.DecodeString(body)
	if err != nil || len(raw) != 16 {
		return fmt.Errorf("%q is not a whole id", s)
	}
	*id = ID[K](raw)
	return nil
}

// IsZero tells whether the id names nothing.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String gives the text form; the zero id gives "".
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	var k K
	return k.prefix() + "_" + idText.EncodeToString(id[:])
}

// Compare orders ids by their bytes, as both databases do.
func (id ID[K]) Compare(other ID[K]) int { return bytes.Compare(id[:], other[:]) }

// MarshalText is the text form, for JSON.
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form; empty text gives the zero id.
func (id *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[K]{}
		return nil
	}
	return id.parse(string(b))
}

// Value stores sixteen bytes, which PostgreSQL takes as uuid and SQLite as blob.
func (id ID[K]) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil //nolint:nilnil // NULL is the value
	}
	return id[:], nil
}

// Scan reads bytes (SQLite) or the dashed form (PostgreSQL through database/sql).
func (id *ID[K]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID[K]{}
		return nil
	case []byte:
		if len(v) == 16 {
			copy(id[:], v)
			return nil
		}
		return id.Scan(string(v))
	case string:
		u, err := uuid.Parse(v)
		if err != nil {
			return fmt.Errorf("scan id: %w", err)
		}
		*id = ID[K](u)
		return nil
	default:
		return fmt.Errorf("scan id: unexpected %T", src)
	}
}

// UUIDValue lets pgx send the id in binary.
func (id ID[K]) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: id, Valid: !id.IsZero()}, nil
}

// ScanUUID lets pgx receive the id in binary.
func (id *ID[K]) ScanUUID(v pgtype.UUID) error {
	*id = ID[K](v.Bytes)
	if !v.Valid {
		*id = ID[K]{}
	}
	return nil
}

// GormDataType names the column family for the drift test.
func (ID[K]) GormDataType() string { return "uuid" }
