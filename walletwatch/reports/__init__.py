"""walletwatch.reports"""
