package models

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Wire is an array parameter that is in PostgreSQL's binary form already.
type Wire []byte

// asIs is an array's codec that lets Wire pass.
type asIs struct{ pgtype.Codec }

// PlanEncode implements pgtype.Codec.
func (c asIs) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(Wire); ok && format == pgtype.BinaryFormatCode {
		return c
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// Encode implements pgtype.EncodePlan.
func (asIs) Encode(value any, buf []byte) ([]byte, error) {
	w, _ := value.(Wire)
	return append(buf, w...), nil
}

// passWire makes a connection take Wire for the arrays that the ledger sends.
func passWire(_ context.Context, conn *pgx.Conn) error {
	for _, name := range []string{"_uuid", "_int8", "_text", "_bool", "_bytea"} {
		t, ok := conn.TypeMap().TypeForName(name)
		if !ok {
			return fmt.Errorf("connect to PostgreSQL: no array type %s", name)
		}
		conn.TypeMap().RegisterType(&pgtype.Type{Name: name, OID: t.OID, Codec: asIs{t.Codec}})
	}
	return nil
}
