"""chains.tron"""
