package receiptmail

import (
	"testing"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

func TestSellerInText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Sold by: Maple Tools\nInvoice 12":                                                "Maple Tools",
		"Merchant     Maple Tools\nAmount     12.00":                                      "Maple Tools",
		"Seller\nMaple Tools\nBuyer\nDana Levi":                                           "Maple Tools",
		"Maple Tools Invoice\n12 March 2026":                                              "Maple Tools",
		"Tax Invoice\nMaple Tools Ltd\nLeeds":                                             "Maple Tools Ltd",
		"Invoice\nBill to:\nDana Levi Ltd\nElm St\n\nLeeds\nMaple Tools Ltd, 7 Mill Lane": "Maple Tools Ltd",
		"Invoice 12\nMaple Tools\nwww.maple-tools.com":                                    "Maple Tools",
		"Invoice 12\nhelp@mapletools.com\nThank you for choosing MapleTools.com":          "MapleTools",
		"Amount in Art.Nr 12\nTotal 9.00":                                                 "",
		"חשבונית מס 12\nדפוס הצפון בע\"מ\nלכבוד: לבי מעבדות בע\"מ":                        "דפוס הצפון בע\"מ",
		"שם בית העסק: פיצה פינת הרחוב\nסכום 12.00":                                        "פיצה פינת הרחוב",
		"Visit us at facebook.com/maple and instagram.com":                                "",
		"Corner Market\nReceipt 12":                                                       "Corner Market",
		"Invoice\nCorner Market":                                                          "",
		"Maple Tools Invoice\nMaple Tools, Inc.\nmaple.com":                               "Maple Tools",
	} {
		if got, _ := sellerInText(page.Text(text)); got.name != want {
			t.Errorf("%q: %q, want %q", text, got.name, want)
		}
	}
}
