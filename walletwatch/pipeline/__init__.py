"""walletwatch.pipeline"""
