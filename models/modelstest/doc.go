// Package modelstest gives tests fresh, migrated databases of both dialects.
//
//	modelstest.Each(t, func(t *testing.T, db *models.DB) { … })
//
// runs a test on SQLite and on PostgreSQL side by side. The PostgreSQL server
// is the one that TEST_DATABASE_URL names (`make test` starts one for the whole
// run and sets it); without it, a throw-away server is started once per test
// process and dies with it. A machine without PostgreSQL fails the test: half
// of the promise untested is not a pass.
//
// Only tests may import it. It knows no table: what is in the schema is the
// migrations' business.
package modelstest
