"""Machine code for programs, through LLVM. The only folder that imports llvmlite."""
