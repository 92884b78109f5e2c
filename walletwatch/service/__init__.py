"""walletwatch.service"""
