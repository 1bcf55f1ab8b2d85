// What testbed/nodes.py asks for. Nothing is compiled here.
const setting = (name) => JSON.parse(process.env[name]);

module.exports = {
  networks: {
    hardhat: {
      chainId: setting("NODE_CHAIN_ID"),
      mining: { auto: setting("NODE_INTERVAL_MS") === 0, interval: setting("NODE_INTERVAL_MS") },
      accounts: {
        mnemonic: process.env.NODE_MNEMONIC,
        count: setting("NODE_ACCOUNTS"),
        accountsBalance: (10n ** 22n).toString(),
      },
    },
  },
};
