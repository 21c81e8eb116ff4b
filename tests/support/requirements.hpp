// support/requirements: for a program that is no runner of test cases. While one of these lives,
// what the support code REQUIREs and does not get ends the program, with its message.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

namespace godwit::support {

class Requirements {
 public:
  Requirements() {
    context_.setAsDefaultForAssertsOutOfTestCases();
    context_.setAssertHandler([](const doctest::AssertData& one) {
      if (!one.m_failed) return;
      std::fprintf(stderr, "%s:%d: %s\n", one.m_file, one.m_line, one.m_expr);
      std::exit(1);
    });
  }

 private:
  doctest::Context context_;
};

}  // namespace godwit::support
