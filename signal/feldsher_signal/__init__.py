"""The numbers of feldsher: arrays in, findings out."""
