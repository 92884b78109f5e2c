"""walletwatch.audit"""
