package models

// EntrySum is what a wallet's entries up to one of them add up to, by kind and
// source of lot: with it a month of a busy wallet is the difference of two sums.
// Entries never change, so neither does a sum of them.
type EntrySum struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	Seq      int64    `gorm:"primaryKey;autoIncrement:false"` // of the last entry in it
	Kind     int16    `gorm:"primaryKey;autoIncrement:false"`
	Source   Source   `gorm:"primaryKey"` // of the lot; "" for excess
	Amount   Credits
}
