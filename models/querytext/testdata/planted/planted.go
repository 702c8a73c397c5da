// Package planted breaks the rules for queries on purpose: a test looks whether each
// line that says so is found. No program imports it.
package planted

import (
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Row is a row with a key of two parts.
type Row struct {
	AgencyID, ID string
	Name         string
}

// Bad are queries that somebody who writes a name could write their own end to.
func Bad(db *gorm.DB, name string, row Row) {
	var out []Row
	db.Where("name = '" + name + "'").Find(&out)                                     // bad: Where is given
	db.Where(fmt.Sprintf("name = '%s'", name)).Find(&out)                            // bad: Where is given
	db.Order(name).Find(&out)                                                        // bad: Order is given
	db.Raw("SELECT * FROM rows WHERE name = " + name).Scan(&out)                     // bad: Raw is given
	db.Exec("DELETE FROM " + name)                                                   // bad: Exec is given
	db.Take(&out, name)                                                              // bad: Take is given
	db.Select(name).Find(&out)                                                       // bad: Select is given
	db.Where(row).Find(&out)                                                         // bad: conditions are text
	db.Model(&row).Update("name", "x")                                               // bad: its fields become conditions
	db.Delete(&row)                                                                  // bad: its fields become conditions
	db.Model(&Row{}).Where("id = ?", "x").Update("name", gorm.Expr("name || "+name)) // bad: gorm.Expr is given
	db.Order(clause.Expr{SQL: "position(" + name + ")"}).Find(&out)                  // bad: Expr is given
	db.Where(clause.NamedExpr{SQL: name}).Find(&out)                                 // bad: NamedExpr is given
}

// Good are the same, as they should be.
func Good(db *gorm.DB, name string) {
	const column = "name"
	var out []Row
	db.Where("agency_id = ? AND "+column+" = ?", name, name).Order("id").Find(&out)
	db.Model(&Row{}).Where("id = ?", name).Update(column, gorm.Expr("name || ?", name))
	db.Order(clause.Expr{SQL: "position(?)", Vars: []any{name}}).Find(&out)
	db.Where("id = ?", name).Delete(&Row{})
}
