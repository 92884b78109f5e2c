"""walletwatch.settings"""
