package mailgen

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// vendor is a sender of receipts with the habits of its mails.
type vendor struct {
	name, address string
	sender        string // the name in From where it is not the vendor: an invoicing platform
	hebrew        bool
	subject       string // %[1]s the vendor, %[2]s the number
	number        string // a number of this pattern, each # a digit
	items         []string
	low, high     int // of one item, in hundredths
	money         money
	tax           tax
	words         words
	pdf           bool // attaches the receipt as well
}

// money is how a vendor writes amounts. %s is the number.
type money struct {
	currency, pattern string
	comma             bool // 1.234,56
}

// tax is what part of the price it is.
type tax int

const (
	noTax      tax = iota
	vatIsrael      // in the price: 17 %, from 2025 18 %
	vatBritain     // in the price: 20 %
	vatGermany     // in the price: 7 % (a room)
	salesTax       // on top of the price: 8 %
)

func (t tax) percent(day time.Time) int {
	switch t {
	case vatIsrael:
		if day.Year() >= 2025 {
			return 18
		}
		return 17
	case vatBritain:
		return 20
	case vatGermany:
		return 7
	case salesTax:
		return 8
	case noTax:
	}
	return 0
}

// words are the labels on a vendor's receipt.
type words struct {
	title, number, date, subtotal, tax, total, paidBy, thanks string
}

// write is an amount in hundredths, as the vendor writes it.
func (m money) write(cents int) string {
	whole := strconv.Itoa(cents / 100)
	for k := len(whole) - 3; k > 0; k -= 3 {
		whole = whole[:k] + "," + whole[k:]
	}
	text := fmt.Sprintf("%s.%02d", whole, cents%100)
	if m.comma {
		text = strings.NewReplacer(",", ".", ".", ",").Replace(text)
	}
	return fmt.Sprintf(m.pattern, text)
}

func english(title, total string) words {
	return words{title, "Receipt number", "Date", "Subtotal", "Tax", total, "Payment method", "Thank you for your business."}
}

func hebrewWords(title, total string) words {
	return words{title, "מספר מסמך", "תאריך", `סה"כ לפני מע"מ`, `מע"מ`, total, "אמצעי תשלום", "תודה שבחרת בנו."}
}

// vendors is the table of all of them. The names are invented, the habits are
// not.
func vendors() []vendor {
	dollars := money{"USD", "$%s", false}
	return []vendor{
		{
			name: "Figmentary", address: "billing@figmentary.example", subject: "Your receipt from %[1]s #%[2]s", number: "####-####",
			items: []string{"Professional plan, monthly", "Additional editor seat", "Storage add-on"}, low: 900, high: 9900,
			money: dollars, words: english("Receipt from Figmentary", "Amount paid"), pdf: true,
		},
		{
			name: "Cloudlet Hosting", address: "invoices@cloudlet.example", subject: "Invoice %[2]s from %[1]s", number: "INV-######",
			items: []string{"Virtual server, 4 GB", "Block storage 200 GB", "Snapshots", "Outgoing traffic"}, low: 300, high: 48000,
			money: money{"EUR", "€%s", false}, words: english("Invoice", "Total"), pdf: true,
		},
		{
			name: "Codeharbor", address: "noreply@codeharbor.example", subject: "[%[1]s] Payment receipt", number: "CH-########",
			items: []string{"Team plan, 5 seats", "Build minutes"}, low: 400, high: 21000,
			money: money{"USD", "US$%s", false}, tax: salesTax, words: english("We received your payment", "Total charged"),
		},
		{
			name: "Glide", address: "receipts@glide-rides.example", subject: "Your trip with %[1]s", number: "########",
			items: []string{"Trip fare", "Booking fee", "Waiting time"}, low: 150, high: 3800,
			money: dollars, words: english("Thanks for riding", "Total"),
		},
		{
			name: "Blackline Cabs", address: "bookings@blackline-cabs.example", subject: "%[1]s: receipt for journey %[2]s", number: "BL######",
			items: []string{"Journey", "Airport charge"}, low: 600, high: 7500,
			money: money{"GBP", "£%s", false}, tax: vatBritain, words: english("Journey receipt", "Total paid"),
		},
		{
			name: "Hotel Lindenhof", address: "rezeption@hotel-lindenhof.example", subject: "Your invoice %[2]s - %[1]s", number: "R-20####",
			items: []string{"Double room, one night", "Breakfast", "City tax"}, low: 1200, high: 61000,
			money: money{"EUR", "%s €", true}, tax: vatGermany, words: english("Invoice for your stay", "Total amount"), pdf: true,
		},
		{
			name: "Skyward Air", address: "eticket@skyward-air.example", subject: "Your e-ticket receipt %[2]s", number: "SK####",
			items: []string{"Air fare", "Taxes and fees", "Checked bag"}, low: 2500, high: 89000,
			money: money{"USD", "%s USD", false}, words: english("Passenger receipt", "Grand total"),
		},
		{
			name: "Bookish", address: "orders@bookish.example", subject: "Receipt for your %[1]s order %[2]s", number: "###-#######",
			items: []string{"Paperback", "Hardcover", "Audiobook", "Delivery"}, low: 250, high: 4200,
			money: money{"GBP", "£%s", false}, words: english("Order receipt", "Order total"),
		},
		{
			name: "טלקום הגליל", address: "bills@telecom-galil.example", hebrew: true, subject: "חשבונית מס/קבלה מספר %[2]s - %[1]s", number: "8########",
			items: []string{"חבילת סלולר", "אינטרנט סיבים", "שיחות לחוץ לארץ"}, low: 1990, high: 14900,
			money: money{"ILS", "%s ₪", false}, tax: vatIsrael, words: hebrewWords("חשבונית מס/קבלה", `סה"כ לתשלום`),
		},
		{
			name: "חשמל הצפון", address: "service@north-electric.example", hebrew: true, subject: "החשבונית שלך מ%[1]s שולמה", number: "##########",
			items: []string{"צריכת חשמל", "תשלום קבוע"}, low: 2500, high: 89000,
			money: money{"ILS", `%s ש"ח`, false}, tax: vatIsrael, words: hebrewWords("אישור תשלום חשבונית חשמל", `סה״כ שולם`),
		},
		{
			name: "מוניות השרון", address: "kabala@sharon-taxi.example", hebrew: true, subject: "קבלה על נסיעה %[2]s", number: "T#######",
			items: []string{"נסיעה", "תוספת נמל תעופה"}, low: 1800, high: 19000,
			money: money{"ILS", "₪%s", false}, tax: vatIsrael, words: hebrewWords("קבלה על נסיעה", `סה"כ כולל מע"מ`),
		},
		{
			name: "טעים עד הבית", address: "orders@taim.example", hebrew: true, subject: "קבלה עבור הזמנה %[2]s", number: "#####-###",
			items: []string{"מגש פיצה", "סלט ירקות", "משקה קל", "דמי משלוח"}, low: 900, high: 8900,
			money: money{"ILS", "₪%s", false}, tax: vatIsrael, words: hebrewWords("הקבלה שלך", `סה"כ`),
		},
		{
			name: "סופר שכונתי", address: "online@super-shchunati.example", hebrew: true, subject: "חשבונית מס קבלה %[2]s לקנייה באתר", number: "70#####",
			items: []string{"חלב 3%", "לחם מלא", "עגבניות", "שמן זית", "קפה טחון"}, low: 490, high: 7990,
			money: money{"ILS", "₪%s", false}, tax: vatIsrael, words: hebrewWords("חשבונית מס קבלה", `סה"כ לתשלום`),
		},
		{
			name: "סטודיו אלמוג", sender: "חשבונית קלה", address: "notify@heshbonit-kala.example", hebrew: true,
			subject: "חשבונית מס / קבלה %[2]s - %[1]s", number: "6####",
			items: []string{"עיצוב גרפי", "שעות ייעוץ", "הפקת דפוס"}, low: 12000, high: 350000,
			money: money{"ILS", "₪%s", false}, tax: vatIsrael, words: hebrewWords("חשבונית מס / קבלה", `סה"כ לתשלום`),
		},
		{
			name: `נגריית כהן בע"מ`, sender: "חשבונית קלה", address: "notify@heshbonit-kala.example", hebrew: true,
			subject: "קבלה %[2]s - %[1]s", number: "3####",
			items: []string{"ארון ספרים", "הרכבה", "הובלה"}, low: 15000, high: 420000,
			money: money{"ILS", `%s ש"ח`, false}, tax: vatIsrael, words: hebrewWords("קבלה", `סה"כ שולם`),
		},
		{
			name: "Parkline", address: "no-reply@parkline.example", subject: "Parking receipt %[2]s", number: "PK-#######",
			items: []string{"Parking session"}, low: 400, high: 6000,
			money: money{"ILS", "ILS %s", false}, tax: vatIsrael, words: english("Parking receipt", "Total paid"),
		},
	}
}
