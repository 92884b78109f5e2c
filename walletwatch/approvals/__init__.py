"""walletwatch.approvals"""
