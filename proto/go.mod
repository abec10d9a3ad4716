module github.com/prosaas/receipts/proto

go 1.26.0
