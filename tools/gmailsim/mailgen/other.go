package mailgen

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

func pick(rng *rand.Rand, from ...string) string { return from[rng.IntN(len(from))] }

// decoy is a mail that a search for receipts finds, by its words or its
// attachment, and that is none: nothing was bought.
func decoy(rng *rand.Rand, day time.Time) letter {
	price := fmt.Sprintf("%d.90", 9+rng.IntN(400))
	number := digits(rng, "#######")
	switch rng.IntN(9) {
	case 0:
		l := letter{fromName: "Bookish", fromAddress: "shipping@bookish.example", subject: "Your order " + number + " is on its way"}
		l.label("CATEGORY_UPDATES")
		l.heading("Your parcel has left our warehouse")
		l.row("Tracking number", digits(rng, "RR#########IL"))
		l.row("Estimated delivery", day.AddDate(0, 0, 4).Format("2 January 2006"))
		l.say("You will get a message when the courier is near.")
		return l
	case 1:
		l := letter{fromName: "Garment Lane", fromAddress: "news@garment-lane.example", subject: "Last hours: jackets from $" + price}
		l.label("CATEGORY_PROMOTIONS")
		l.heading("Up to 60% off everything")
		l.row("Wool jacket", "was $"+strconv.Itoa(rng.IntN(200)+400)+".00", "now $"+price)
		l.say("Keep your receipt: you may return anything within 30 days. Free delivery on orders over $75. Unsubscribe at any time.")
		return l
	case 2:
		l := letter{fromName: "Figmentary", fromAddress: "billing@figmentary.example", subject: "Your payment was declined"}
		l.label("CATEGORY_UPDATES")
		l.heading("We could not charge your card")
		l.say("The invoice stays open. Please update your payment details within seven days to keep your plan.")
		return l
	case 3:
		l := letter{fromName: "דנה לוי", fromAddress: "dana@levi-design.example", hebrew: true, subject: "הצעת מחיר " + number}
		l.say("שלום, מצורפת הצעת מחיר לפרויקט כפי שסיכמנו. ההצעה בתוקף לשלושים יום ואינה חשבונית.")
		l.row("מחיר מוצע", "₪"+price)
		l.attach(file{name: "quote-" + number + ".pdf", mediaType: "application/pdf", content: pdf([]string{"Quotation " + number, "Valid for 30 days"}, 0)})
		return l
	case 4:
		l := letter{fromName: "משאבי אנוש", fromAddress: "hr@office.example", hebrew: true, subject: "תלוש שכר " + day.Format("01/2006")}
		l.say("תלוש השכר שלך לחודש זה מצורף. לשאלות על תשלום שעות נוספות יש לפנות למשאבי אנוש.")
		l.attach(file{name: "payslip.pdf", mediaType: "application/pdf", content: pdf([]string{"Payslip " + day.Format("01/2006")}, 0)})
		return l
	case 5:
		l := letter{fromName: "Noa Barak", fromAddress: "noa@partners.example", subject: "Re: missing invoice"}
		l.say("Hi, did you ever get the invoice from the printing house? The accountant keeps asking me for it. Could you look for it in your mail?")
		return l
	case 6:
		l := letter{fromName: "יוסי מהנהלת חשבונות", fromAddress: "yossi@office.example", hebrew: true, subject: "חסרה לי קבלה"}
		l.say("היי, חסרה לי הקבלה של המסעדה מהשבוע שעבר. אפשר לשלוח אותה עד סוף החודש?")
		return l
	case 7:
		l := letter{fromName: "Adam Stein", fromAddress: "adam@partners.example", subject: "Slides for the board"}
		l.say("The slides are attached, with the comments from yesterday. Please have a look before Thursday.")
		l.attach(file{name: "board-slides.pdf", mediaType: "application/pdf", content: pdf([]string{"Board meeting", "Agenda"}, rng.IntN(4000))})
		return l
	default:
		l := letter{fromName: "מבצעי החודש", fromAddress: "deals@mivtzaim.example", hebrew: true, subject: "מבצע: הכול ב-₪" + price + " בלבד"}
		l.label("CATEGORY_PROMOTIONS")
		l.heading("רק עד סוף השבוע")
		l.row("סט כלי מיטה", "במקום ₪"+strconv.Itoa(rng.IntN(200)+450), "עכשיו ₪"+price)
		l.say("הזמנה באתר, משלוח חינם. להסרה מרשימת התפוצה לחצו כאן.")
		return l
	}
}

// other is a mail that has nothing to do with buying.
func other(rng *rand.Rand, day time.Time) letter {
	when := day.AddDate(0, 0, 1+rng.IntN(6))
	person := pick(rng, "Noa Barak", "Adam Stein", "Maya Oren", "Tom Field", "Ruth Vered")
	switch rng.IntN(8) {
	case 0:
		l := letter{fromName: person, fromAddress: "calendar@partners.example", subject: "Invitation: weekly planning, " + when.Format("Mon 2 Jan")}
		l.heading("Weekly planning")
		l.row("When", when.Format("Monday 2 January 2006"), fmt.Sprintf("%02d:30", 9+rng.IntN(8)))
		l.row("Where", pick(rng, "Room 4", "Online", "The garden"))
		return l
	case 1:
		l := letter{fromName: person, fromAddress: "friends@mail.example", subject: pick(rng, "Saturday?", "The photos", "How was the trip?", "Book club")}
		l.say("Hey! It was so good to see you all last week. Are you around on Saturday? We thought of a walk by the sea and supper at our place.")
		return l
	case 2:
		l := letter{fromName: pick(rng, "אמא", "יעל", "שחר כהן"), fromAddress: "family@mail.example", hebrew: true, subject: pick(rng, "ארוחת שישי", "תמונות מהטיול", "מה שלומך?")}
		l.say("היי, מה שלומך? אנחנו נפגשים ביום שישי אצל סבתא. תביאו סלט ואת האלבום של הילדים.")
		return l
	case 3:
		l := letter{fromName: "The Daily Fold", fromAddress: "letters@daily-fold.example", subject: "The Daily Fold, " + day.Format("2 January")}
		l.label("CATEGORY_FORUMS")
		l.heading("What we read this morning")
		for range 4 {
			l.say(filler(rng, false))
		}
		return l
	case 4:
		l := letter{fromName: "Codeharbor", fromAddress: "security@codeharbor.example", subject: "Reset your password"}
		l.label("CATEGORY_UPDATES")
		l.say("Somebody asked for a new password. If it was you, use this code within ten minutes. If not, there is nothing to do.")
		l.row("Code", digits(rng, "######"))
		return l
	case 5:
		l := letter{fromName: "ועד הבית", fromAddress: "vaad@house.example", hebrew: true, subject: pick(rng, "אסיפת דיירים", "ניקיון חדר המדרגות", "הפסקת מים")}
		l.say("דיירים יקרים, האסיפה תתקיים בלובי ביום " + when.Format("02/01") + " בשעה שמונה בערב. נשמח לראותכם.")
		return l
	case 6:
		l := letter{fromName: "Ringwork", fromAddress: "notify@ringwork.example", subject: person + " wants to connect"}
		l.label("CATEGORY_SOCIAL")
		l.say(person + " would like to add you to their network. You have three people in common.")
		return l
	default:
		l := letter{fromName: "בית הספר אלון", fromAddress: "office@alon-school.example", hebrew: true, subject: "עדכון שבועי להורים"}
		l.heading("שלום להורי הכיתה")
		l.say("השבוע למדנו על צמחי הנחל ויצאנו לסיור. נא לצייד את הילדים בכובע ובמים.")
		return l
	}
}

// filler is a sentence or two about nothing, without a word that a search for
// receipts looks for.
func filler(rng *rand.Rand, hebrew bool) string {
	if hebrew {
		return pick(rng,
			"אנחנו כאן לכל שאלה בימים ראשון עד חמישי, בין תשע לחמש.",
			"האתר שלנו התחדש ועכשיו קל יותר למצוא בו את מה שמחפשים.",
			"הודעה זו נשלחה אוטומטית, אין צורך להשיב עליה.",
			"החורף הגיע מוקדם השנה, והגנים התמלאו בירוק ובשלוליות.",
			"אם אינך רואה את התמונות, אפשר לפתוח את העמוד בדפדפן.",
			"אנו שומרים על פרטיותך ואיננו מוסרים את פרטיך לאיש.",
		) + " " + pick(rng, "להתראות בקרוב.", "שיהיה שבוע טוב.", "בברכה, הצוות.", "המשך יום נעים.")
	}
	return pick(rng,
		"You get this message because you have an account with us; there is no need to answer it.",
		"Our help pages have been written anew, and most questions are answered there in a minute.",
		"The river trail opens again in spring, and the old mill has found a new keeper who knows its story.",
		"We care about your privacy: read in our policy what we keep, why we keep it, and for how long.",
		"If the pictures do not show, open this page in your browser, where it looks as it was meant to.",
		"The library will be closed on the second Monday of the month while the shelves are moved upstairs.",
		"A team of four rebuilt the garden wall in three days, stone by stone, without a single power tool.",
	) + " " + pick(rng, "Have a good day.", "See you soon.", "With kind regards, the team.", "More of this next week.")
}
