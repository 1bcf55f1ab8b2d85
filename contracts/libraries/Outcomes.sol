// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Outcomes
/// @notice What a ballot decided, as the code of a contract that has no function: the cheapest place for what never
/// changes. The digest of the outcome comes first, then its kinds and scores as `Verdicts.compress` packs them.
library Outcomes {
    function keep(bytes32 digest, uint256[] memory decided) internal returns (address code) {
        return Clones.cloneWithImmutableArgs(address(0), abi.encodePacked(digest, Verdicts.compress(decided)));
    }

    /// @return words the digest and what follows it; none without a code
    function read(address code) internal view returns (uint256[] memory words) {
        if (code == address(0)) return words;
        bytes memory kept = Clones.fetchCloneArgs(code);
        // What the decoder needs goes in front.
        return abi.decode(bytes.concat(abi.encode(32, kept.length / 32), kept), (uint256[]));
    }
}
