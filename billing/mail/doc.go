// Package mail is what a mail is, how it looks, and how it leaves: a Letter says
// the same words as text and as HTML, in the name of whose letter it is, and a
// Sender hands a Message to a mail server.
//
// Nothing in a letter names the platform unless the letter is the platform's: an
// agency's clients never learn that there is one. The package knows no database;
// billing's outbox decides what is sent and when.
package mail
