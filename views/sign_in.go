package views

// SignIn is GET and POST /sign-in. Fields: email, password, next, csrf_token.
type SignIn struct {
	Frame  Frame
	Email  string // kept
	Next   string // where to go afterwards; kept
	Errors FieldErrors
	Notice string // why the person is asked: "Sign in to see that page."; "" for none
	Mail   bool   // a link can be mailed instead: the same fields, posted to /sign-in/link
}

// SignInSent tells somebody who asked for a link to look for it.
type SignInSent struct {
	Frame   Frame
	Minutes int
	Outbox  string // of a demonstration: where mails are shown; "" elsewhere
	Link    bool   // Outbox may be a link: it is of this portal
}

// SignInLink is the page a sign-in link opens. Its one button posts: a mail scanner
// that opens the link uses nothing up. Fields: token, csrf_token.
type SignInLink struct {
	Frame   Frame
	Action  string // where the form goes
	Token   string
	Email   string // whose link it is, when that may be shown
	Joins   string // what the invitation that it accepts leads to; "" for none
	Expired bool   // the link is used up or too old
	SignIn  string // href of the page that takes a password
}

// Problem is a page that says what went wrong (404, 403, 500, 503, 429, an expired
// form) and what to do.
type Problem struct {
	Frame   Frame
	Status  int
	Heading string // "" takes the usual one for the status
	Text    string // "" takes the usual one for the status
	Ref     string // to tell support
	Action  *Link  // "" leads home
}

func (v Problem) heading() string {
	if v.Heading != "" {
		return v.Heading
	}
	switch v.Status {
	case 403:
		return "This page is not open to you"
	case 404:
		return "Page not found"
	case 429:
		return "Too many requests"
	case 503:
		return "Not available right now"
	}
	return "Something went wrong"
}

func (v Problem) text() string {
	if v.Text != "" {
		return v.Text
	}
	switch v.Status {
	case 403:
		return "Your role doesn't include it. An owner of this account can change that."
	case 404:
		return "There is nothing at this address. It may have been moved, or the link may be incomplete."
	case 429:
		return "There were more requests than we answer in a minute. Wait a moment, then try again."
	case 503:
		return "We are restarting or very busy. Your credits are safe. Try again in a minute."
	}
	return "This is our fault, and it has been recorded. Your credits are safe. Try again in a moment."
}

func (v Problem) action() Link {
	if v.Action != nil {
		return *v.Action
	}
	return Link{Label: "Go to the start", Href: v.Frame.home()}
}
