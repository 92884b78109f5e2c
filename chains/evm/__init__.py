"""chains.evm"""
