"""Who is told of records besides the program: OpenTelemetry, a log. No content, no provider."""
