"""walletwatch.alerts"""
