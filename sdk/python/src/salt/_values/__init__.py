"""The encoding of values, which all SDKs share."""
