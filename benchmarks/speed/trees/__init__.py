"""Trees that predict genes from regulators, beside the tools that people use."""
