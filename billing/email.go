package billing

// CheckEmail refuses what is no e-mail address, before anything is written for
// it. Errors: invalid_email.
func CheckEmail(s string) error { return checkEmail(normalEmail(s)) }
