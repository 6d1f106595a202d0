-- A new password seals its owner's signing key anew.
GRANT UPDATE (salt, nonce, wrapped) ON cloud.signing_key TO feldsher_api;
