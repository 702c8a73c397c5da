package models

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// GORM makes conditions of those fields of a row's key that are not zero, and leaves
// the others out: a row that knows only its agency reaches the whole agency, and one
// that knows only its id asks for no agency at all. The same goes for a single value
// in the place of a key: it is compared with the last of its columns. Tests hold the
// program's text against both (package querytext); what gets past them, because a
// row comes in a variable, ends here.

// guardKeys refuses what would be read, changed or deleted by a part of a key.
func guardKeys(db *gorm.DB) error {
	const name = "refill:whole_keys"
	return errors.Join(
		db.Callback().Query().Before("gorm:query").Register(name, refusePartOfKey),
		db.Callback().Row().Before("gorm:row").Register(name, refusePartOfKey),
		db.Callback().Update().Before("gorm:update").Register(name, refusePartOfKey),
		db.Callback().Delete().Before("gorm:delete").Register(name, refusePartOfKey),
	)
}

func refusePartOfKey(db *gorm.DB) {
	s := db.Statement
	if s.Schema == nil || len(s.Schema.PrimaryFields) < 2 {
		return
	}
	where, _ := s.Clauses["WHERE"].Expression.(clause.Where)
	if partlyKeyed(s, s.ReflectValue) || s.Model != nil && partlyKeyed(s, reflect.ValueOf(s.Model)) || byOneValue(where.Exprs) {
		_ = db.AddError(fmt.Errorf("refused to look for %s by a part of its key (%s), which reaches every row that has this part: name the whole key in Where",
			s.Table, strings.Join(s.Schema.PrimaryFieldDBNames, ", ")))
	}
}

// partlyKeyed tells a row, or one of several, whose key is neither whole nor empty.
func partlyKeyed(s *gorm.Statement, v reflect.Value) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() { //nolint:exhaustive // nothing else holds rows
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if partlyKeyed(s, v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		if v.Type() != s.Schema.ModelType {
			return false
		}
		filled := 0
		for _, f := range s.Schema.PrimaryFields {
			if !zero(s, f, v) {
				filled++
			}
		}
		return filled > 0 && filled < len(s.Schema.PrimaryFields)
	}
	return false
}

func zero(s *gorm.Statement, f *schema.Field, v reflect.Value) bool {
	_, is := f.ValueOf(s.Context, v)
	return is
}

// byOneValue tells a condition on "the" key, as First(&row, id) makes it.
func byOneValue(exprs []clause.Expression) bool {
	isKey := func(column any) bool {
		c, ok := column.(clause.Column)
		return ok && c.Name == clause.PrimaryKey
	}
	for _, e := range exprs {
		found := false
		switch e := e.(type) {
		case clause.IN:
			found = isKey(e.Column)
		case clause.Eq:
			found = isKey(e.Column)
		case clause.AndConditions:
			found = byOneValue(e.Exprs)
		case clause.OrConditions:
			found = byOneValue(e.Exprs)
		case clause.NotConditions:
			found = byOneValue(e.Exprs)
		}
		if found {
			return true
		}
	}
	return false
}
