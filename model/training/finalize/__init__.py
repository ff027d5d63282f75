"""What a captioner can only be given once it is trained."""
