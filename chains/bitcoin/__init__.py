"""chains.bitcoin"""
