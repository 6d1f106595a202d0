"""The words and the rules of feldsher: pure functions and frozen structures without input or output."""
