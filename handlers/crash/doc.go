// Package crash proves that nothing acknowledged is lost or done twice when
// processes, connections and disks fail: it is tests only.
//
// The real program is built and run, on a real PostgreSQL server with fsync on or
// on its SQLite file. Programs charge, hold, capture, release, assign, take back,
// adjust and reverse over HTTP, and repeat a request by its key until it is
// answered. What was answered is kept here, outside of what is killed. Then the
// portal or the server is killed, connections are cut, or the disk is filled; and
// every so often the portal is asked to account for itself:
//
//   - every acknowledged act is in the database, and nothing else is;
//   - each key answers what it answered first, byte for byte;
//   - each wallet has what the answers add up to;
//   - refill audit finds nothing.
//
// KILLS says how much is tried: that many kills of the portal (half of them on
// SQLite, a quarter with one portal on PostgreSQL and a quarter with two), as many
// cuts, half as many kills of PostgreSQL, and one disk filled for 80 of them.
// Without it, as in make test, a few of each. Needs Linux.
package crash
