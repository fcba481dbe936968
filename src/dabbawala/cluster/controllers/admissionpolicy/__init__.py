"""ValidatingAdmissionPolicy: what its status says of expressions that cannot be right."""
